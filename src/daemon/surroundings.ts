// What a daemon stands on: a machine, or a simulated one for tests of whole worlds.
import { type Clock, mathRandom, type Random } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { type FreeSpace, freeSpaceOf } from "../intake/index.ts";
import { connect, listen, type Resolver, systemClock, upgradeClient } from "../net/index.ts";
import { type Deliverer, defaultRunnerLimits, type RunnerLimits } from "../queue/index.ts";
import { createStsFetch } from "../trust/index.ts";
import { configuredResolver } from "./resolver.ts";

/** Everything that the parts of a daemon take from outside, but for its files. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** DNS, as a configuration has it asked. Once `signal` is given nobody waits for it any more. */
  resolver(config: Pick<Config, "dns">, signal: AbortSignal): Resolver;
  /** Of the disk that holds a folder. */
  freeSpace(folder: string): FreeSpace;
  readonly listen: typeof listen;
  readonly connect: typeof connect;
  readonly upgrade: typeof upgradeClient;
  readonly stsFetch: typeof createStsFetch;
  /** Put around what carries mail away, by who counts what it does. */
  around(deliverer: Deliverer): Deliverer;
  /** How much of a queue a runner has in hand. */
  readonly windows: Pick<RunnerLimits, "window" | "domainWindow">;
}

/** This machine. */
export const machine: Surroundings = {
  clock: systemClock,
  random: mathRandom,
  resolver: configuredResolver,
  freeSpace: (folder) => freeSpaceOf(folder, systemClock),
  listen,
  connect,
  upgrade: upgradeClient,
  stsFetch: createStsFetch,
  around: (deliverer) => deliverer,
  windows: { window: defaultRunnerLimits.window, domainWindow: defaultRunnerLimits.domainWindow },
};
