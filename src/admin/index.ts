/**
 * What an operator may see and do, the same for every front end, and the socket through which a running daemon is asked. No
 * text for people is made here: that is the front end's. Begin with `operations.ts`, then `admin.ts`.
 */
export { type Admin, openAdmin, openStoppedWorker, type StoppedWorker } from "./admin.ts";
export { combineOperations } from "./combined.ts";
export { AdminError, type ControlClient, connectControl } from "./control-client.ts";
export { type ControlServer, createControlServer } from "./control-server.ts";
export {
  ACTIONS,
  type Action,
  type ActionReport,
  type ActOptions,
  type AdminOperations,
  createOperations,
  type Filter,
  MAX_LIST,
  type Target,
} from "./operations.ts";
export { socketPath } from "./socket-path.ts";
export type { FinishedView, MessageDetail, MessageView, OutcomeView, RecipientView } from "./views.ts";
