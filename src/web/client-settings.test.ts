import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ClientSettings, formatClientSettings } from "./client-settings.ts";

const settings: ClientSettings = {
  domain: "example.org",
  name: "Example Post",
  username: "%EMAILADDRESS%",
  authentication: ["password-cleartext", "OAuth2"],
  servers: [
    { kind: "imap", host: "imap.example.org", port: 993, implicit: true },
    { kind: "smtp", host: "mail.example.org", port: 587, implicit: false },
  ],
};

test("the settings of a domain, in the order in which they should be tried", () => {
  const lines = formatClientSettings(settings)
    .split("\r\n")
    .map((line) => line.trim());
  assert.deepEqual(lines, [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<clientConfig version="1.1">',
    '<emailProvider id="example.org">',
    "<domain>example.org</domain>",
    "<displayName>Example Post</displayName>",
    "<displayShortName>Example Post</displayShortName>",
    '<incomingServer type="imap">',
    "<hostname>imap.example.org</hostname>",
    "<port>993</port>",
    "<socketType>SSL</socketType>",
    "<username>%EMAILADDRESS%</username>",
    "<authentication>password-cleartext</authentication>",
    "<authentication>OAuth2</authentication>",
    "</incomingServer>",
    '<outgoingServer type="smtp">',
    "<hostname>mail.example.org</hostname>",
    "<port>587</port>",
    "<socketType>STARTTLS</socketType>",
    "<username>%EMAILADDRESS%</username>",
    "<authentication>password-cleartext</authentication>",
    "<authentication>OAuth2</authentication>",
    "</outgoingServer>",
    "</emailProvider>",
    "</clientConfig>",
    "",
  ]);
});

test("no name is markup, and what XML cannot hold is replaced", () => {
  const name = (text: string): string | undefined =>
    /<displayName>(.*)<\/displayName>/su.exec(formatClientSettings({ ...settings, name: text }))?.[1];
  assert.equal(name(`A & B <"c"> 'd' ]]>`), "A &amp; B &lt;&quot;c&quot;&gt; &apos;d&apos; ]]&gt;");
  assert.equal(name("Größe 📮"), "Größe 📮");
  assert.equal(name("\0\b\u001f\ufffe\uffff\ud800x"), "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdx");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const written = name(text) ?? "<";
      assert.doesNotMatch(written, /[<>"']|&(?!(?:amp|lt|gt|quot|apos);)/);
      assert.doesNotMatch(written, /[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]/u);
    }),
  );
});
