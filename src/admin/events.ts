/** Names of the log events of this folder; they are an interface. */
export const ADMIN_EVENTS = {
  socketFailed: "admin.socket.failed",
  operationFailed: "admin.operation.failed",
} as const;
