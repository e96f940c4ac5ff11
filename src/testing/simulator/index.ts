/**
 * Worlds in which everything goes wrong: Posterns on virtual time, with a network, disks and hosts that fail as a seed says. What is
 * under test is real (queue, schedule, policies, sessions, delivery, reports); what fails is simulated. Nothing here may read the real
 * clock, draw real chance or open a socket. Begin with `simulate.ts`, then `world.ts`; `audit.ts` holds the promises.
 */
export type { Violation } from "./audit.ts";
export { type SimulateOptions, type Simulation, simulate } from "./simulate.ts";
