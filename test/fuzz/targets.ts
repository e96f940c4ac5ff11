import type { Target } from "./target.ts";
import { client } from "./targets/client.ts";
import { chunks, dataEncoder, dataRefuse, dataRepair, lines, replyDecoder } from "./targets/codecs.ts";
import { downgrade } from "./targets/downgrade.ts";
import { language } from "./targets/language.ts";
import { server } from "./targets/server.ts";
import { submission } from "./targets/submission.ts";
import { surroundings } from "./targets/surroundings.ts";

/** Everything that reads what others wrote. */
export const targets: readonly Target[] = [
  lines,
  dataRefuse,
  dataRepair,
  dataEncoder,
  chunks,
  replyDecoder,
  ...language,
  ...surroundings,
  downgrade,
  ...submission,
  server,
  client,
];
