import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { formatMailbox, parseDomain, parseMailbox } from "../smtp/index.ts";
import { covers, ownAddress, type SenderGrant, sendersByName } from "./senders.ts";

const mailbox = (text: string) => unwrap(parseMailbox(text));
const address = (text: string): SenderGrant => ({ kind: "address", mailbox: mailbox(text) });
const domain = (text: string): SenderGrant => ({ kind: "domain", domain: unwrap(parseDomain(text)) });
const may = (grants: readonly SenderGrant[], text: string) => covers(grants, mailbox(text));

test("an address covers itself in any case, with its sub-addresses, and nothing that only begins like it", () => {
  const grants = [address("Ann@here.test")];
  for (const own of ["ann@here.test", "ANN@HERE.TEST", "ann+lists@here.test", "Ann+a+b@here.test"])
    assert.ok(may(grants, own), own);
  for (const foreign of ["anna@here.test", "an@here.test", "ann@there.test", "ann@sub.here.test", "bob+ann@here.test"])
    assert.ok(!may(grants, foreign), foreign);
});

test("a sub-address as a grant covers no other detail and not the mailbox", () => {
  const grants = [address("ann+shop@here.test")];
  assert.ok(may(grants, "ann+shop@here.test"));
  assert.ok(!may(grants, "ann@here.test"));
  assert.ok(!may(grants, "ann+bank@here.test"));
});

test("letters that only look like another are others, and two encodings of one letter are one", () => {
  assert.ok(!may([address("mike@here.test")], "m\u0131ke@here.test"), "a dotless i");
  assert.ok(!may([address("mike@here.test")], "\u043cike@here.test"), "a Cyrillic letter");
  assert.ok(may([address("jose\u0301@here.test")], "jos\u00e9@here.test"));
  assert.ok(may([address("jos\u00e9@here.test")], "JOS\u00c9@here.test"));
});

test("a domain covers its mailboxes in both spellings, and no sub-domain", () => {
  const grants = [domain("b\u00fccher.test")];
  assert.ok(may(grants, "x@xn--bcher-kva.test"));
  assert.ok(may(grants, "x@b\u00fccher.test"));
  assert.ok(!may(grants, "x@shop.b\u00fccher.test"));
});

test("everything is everything, and nothing is nothing", () => {
  assert.ok(may([{ kind: "any" }], "x@anywhere.test"));
  assert.ok(!may([], "ann@here.test"));
});

test("without kept grants a name is an address, or that user at each domain", async () => {
  const senders = sendersByName(["here.test", "also.test"].map((name) => unwrap(parseDomain(name))));
  const own = async (identity: string) =>
    (await senders.addressesOf(identity)).map((grant) =>
      grant.kind === "address" ? formatMailbox(grant.mailbox) : grant,
    );
  assert.deepEqual(await own("ann@elsewhere.test"), ["ann@elsewhere.test"]);
  assert.deepEqual(await own("ann"), ["ann@here.test", "ann@also.test"]);
  assert.deepEqual(await own("ann@"), []);
});

test("the first address stands for the user", () => {
  const own = ownAddress([{ kind: "any" }, domain("x.test"), address("a@x.test"), address("b@x.test")]);
  assert.equal(own === null ? null : formatMailbox(own), "a@x.test");
  assert.equal(ownAddress([{ kind: "any" }]), null);
  assert.equal(ownAddress([address("a@b\u00fccher.test")])?.domain, "xn--bcher-kva.test", "without SMTPUTF8 too");
});
