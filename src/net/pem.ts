import { X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../base/index.ts";
import { netProblem } from "./problem.ts";

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The certificates of a text in PEM, in its order; at least one. What stands between them is let be. */
export function readCertificates(text: string): Result<readonly [X509Certificate, ...X509Certificate[]], string> {
  const certificates: X509Certificate[] = [];
  for (const written of text.match(PEM_CERTIFICATE) ?? []) {
    try {
      certificates.push(new X509Certificate(written));
    } catch (error) {
      return err(`certificate ${certificates.length + 1} in it cannot be read: ${netProblem(error).detail}`);
    }
  }
  const [first, ...others] = certificates;
  return first === undefined ? err("it holds no certificate in PEM form") : ok([first, ...others]);
}
