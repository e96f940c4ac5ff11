import assert from "node:assert/strict";
import { test } from "node:test";
import type { AppliedPolicy } from "./model.ts";
import { reportFileName, reportId, tlsReport } from "./tls-report.ts";
import { dayOf, type TlsResultCount } from "./tls-results.ts";

const DAY = dayOf(Date.UTC(2016, 3, 1));
const SUBMITTER = { organization: "Company-X", contact: "sts-reporting@company-x.example" };
const FACTS = { submitter: SUBMITTER, day: DAY, domain: "company-y.example" };

const POLICY: AppliedPolicy = {
  type: "sts",
  strings: ["version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"],
  mxHosts: ["*.mail.company-y.example"],
};
const NONE = { policy: POLICY, host: null, sendingAddress: null, receivingAddress: null, reason: null };

test("the example of RFC 8460 appendix B", () => {
  const counts: TlsResultCount[] = [
    { ...NONE, type: "success", count: 5326 },
    {
      ...NONE,
      type: "certificate-expired",
      sendingAddress: "2001:db8:abcd:12::1",
      host: "mx1.mail.company-y.example",
      count: 100,
    },
    {
      ...NONE,
      type: "starttls-not-supported",
      sendingAddress: "2001:db8:abcd:13::1",
      host: "mx2.mail.company-y.example",
      receivingAddress: "203.0.113.56",
      count: 200,
    },
    {
      ...NONE,
      type: "validation-failure",
      sendingAddress: "::ffff:198.51.100.62",
      receivingAddress: "203.0.113.58%eth0",
      host: "mx-backup.mail.company-y.example",
      reason: "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
      count: 3,
    },
  ];
  assert.deepEqual(tlsReport({ ...FACTS, counts }), {
    "organization-name": "Company-X",
    "date-range": { "start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z" },
    "contact-info": "sts-reporting@company-x.example",
    "report-id": "2016-04-01.company-y.example@company-x.example",
    policies: [
      {
        policy: {
          "policy-type": "sts",
          "policy-string": POLICY.strings,
          "policy-domain": "company-y.example",
          "mx-host": ["*.mail.company-y.example"],
        },
        summary: { "total-successful-session-count": 5326, "total-failure-session-count": 303 },
        "failure-details": [
          {
            "result-type": "certificate-expired",
            "sending-mta-ip": "2001:db8:abcd:12::1",
            "receiving-mx-hostname": "mx1.mail.company-y.example",
            "failed-session-count": 100,
          },
          {
            "result-type": "starttls-not-supported",
            "sending-mta-ip": "2001:db8:abcd:13::1",
            "receiving-mx-hostname": "mx2.mail.company-y.example",
            "receiving-ip": "203.0.113.56",
            "failed-session-count": 200,
          },
          {
            "result-type": "validation-failure",
            "sending-mta-ip": "198.51.100.62",
            "receiving-mx-hostname": "mx-backup.mail.company-y.example",
            "receiving-ip": "203.0.113.58",
            "failed-session-count": 3,
            "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
          },
        ],
      },
    ],
  });
});

test("each policy of a domain has its own part, and what has no policy no text", () => {
  const tlsa: AppliedPolicy = { type: "tlsa", strings: ["3 1 1 abcd"], mxHosts: [] };
  const nothing: AppliedPolicy = { type: "no-policy-found", strings: [], mxHosts: [] };
  const { policies } = tlsReport({
    ...FACTS,
    counts: [
      { ...NONE, policy: tlsa, type: "success", count: 2 },
      { ...NONE, policy: { ...tlsa }, type: "dnssec-invalid", count: 1 },
      { ...NONE, policy: nothing, type: "starttls-not-supported", count: 4 },
    ],
  });
  assert.deepEqual(
    policies.map(({ policy, summary }) => [
      policy,
      summary["total-successful-session-count"],
      summary["total-failure-session-count"],
    ]),
    [
      [{ "policy-type": "tlsa", "policy-string": ["3 1 1 abcd"], "policy-domain": "company-y.example" }, 2, 1],
      [{ "policy-type": "no-policy-found", "policy-domain": "company-y.example" }, 0, 4],
    ],
  );
});

test("name and id of a report tell whose, of whom and when, and are the same for each try", () => {
  assert.equal(reportFileName(FACTS), "company-x.example!company-y.example!1459468800!1459555199.json.gz");
  assert.equal(reportId(FACTS), "2016-04-01.company-y.example@company-x.example");
});
