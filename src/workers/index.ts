/**
 * Several processes that do the same work: a supervisor that starts them, starts again what dies, passes on what is asked of all,
 * and the other end of it in each of them. What the work is nobody here knows; it is a value handed through. Begin with
 * `supervisor.ts`, then `worker-process.ts` for one of them seen from outside and `orders.ts` for the inside.
 */
export { serveOrders } from "./orders.ts";
export { createSupervisor, type Supervisor } from "./supervisor.ts";
