import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIncoming } from "./autoconfig.ts";
import { parseConfig } from "./load.ts";

const BASE = 'hostname = "mail.example.org"\n[[listener]]\naddress = "127.0.0.1:2525"\nservice = "mx"\ntls = "none"\n';

function parsed(text: string) {
  return parseConfig(`${BASE}${text}`, "/etc/postern.toml");
}

test("a server for incoming mail has a name, a way of TLS and a port", () => {
  const read = (text: string): unknown => {
    const result = parseIncoming(text);
    assert.ok(result.ok, text);
    const { kind, implicit, host, port } = result.value;
    return [kind, implicit, host, port];
  };
  assert.deepEqual(read("imaps://IMAP.example.org"), ["imap", true, "imap.example.org", 993]);
  assert.deepEqual(read("imap://imap.example.org"), ["imap", false, "imap.example.org", 143]);
  assert.deepEqual(read("pop3s://pop.example.org"), ["pop3", true, "pop.example.org", 995]);
  assert.deepEqual(read("pop3://pop.example.org:1110"), ["pop3", false, "pop.example.org", 1110]);
});

test("what is no such server is refused", () => {
  for (const text of [
    ...["", "imap.example.org", "imaps:imap.example.org", "https://imap.example.org", "imaps://", "imaps://a b"],
    ...["imaps://imap.example.org/", "imaps://imap.example.org:0", "imaps://imap.example.org:70000", "IMAPS://x.test"],
    ...["imaps://192.0.2.1", "imaps://[2001:db8::1]:993", "imaps://ann@imap.example.org", "imaps://<x>.test"],
  ]) {
    assert.equal(parseIncoming(text).ok, false, text);
  }
});

test("without a word the address is the user name, and no server for incoming mail is known", () => {
  const config = parsed("");
  assert.ok(config.ok);
  assert.deepEqual(config.value.autoconfig, { name: null, username: "%EMAILADDRESS%", incoming: [] });
});

test("a wrong key, name or form is named with its place", () => {
  for (const [text, key] of [
    ['[autoconfig]\nincoming = ["imap.example.org"]\n', "autoconfig.incoming"],
    ['[autoconfig]\nusername = "%REALNAME%"\n', "autoconfig.username"],
    ['[autoconfig]\nname = "two\\nlines"\n', "autoconfig.name"],
    ['[autoconfig]\nname = ""\n', "autoconfig.name"],
    ['[autoconfig]\nimap = "x"\n', "autoconfig.imap"],
  ] as const) {
    const config = parsed(text);
    assert.ok(!config.ok, text);
    assert.deepEqual(
      config.error.map((problem) => problem.key),
      [key],
    );
  }
});
