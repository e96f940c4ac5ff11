// What one of several workers has of the whole: which part of the limits, and which former workers' queues.
import type { Config } from "../config/index.ts";

/** Which of the processes that serve one data folder this is. */
export interface WorkerShare {
  /** From 1. The first also does what is done once: pages of `[[web]]`, TLS reports, the refresh of MTA-STS policies. */
  readonly worker: number;
  /** How many there are. More than one share their ports. */
  readonly workers: number;
}

/** A daemon without workers. */
export const alone: WorkerShare = { worker: 1, workers: 1 };

/**
 * The configuration as one of `workers` processes has to keep to it, so that all of them together keep to what is written. What is
 * divided is never less than 1.
 *
 * Connections of one address are handed to the workers by chance: each may take its part and half as much again, lest a client be
 * turned away while it is within the limit. Up to one and a half times the limit may so be open in all.
 */
export function divided(config: Config, workers: number): Config {
  if (workers === 1) return config;
  const part = (whole: number): number => Math.max(1, Math.ceil(whole / workers));
  const byChance = (whole: number): number => Math.min(whole, Math.ceil((1.5 * whole) / workers) + 1);
  const { limits, queue } = config;
  return {
    ...config,
    limits: {
      ...limits,
      connections: part(limits.connections),
      connectionsPerAddress: byChance(limits.connectionsPerAddress),
      memory: part(limits.memory),
    },
    queue: {
      ...queue,
      concurrency: part(queue.concurrency),
      destinationConcurrency: part(queue.destinationConcurrency),
    },
    limitRules: config.limitRules.map((rule) => ({
      ...rule,
      messagesPerMinute: rule.messagesPerMinute === null ? null : rule.messagesPerMinute / workers,
      connections: rule.connections === null ? null : part(rule.connections),
    })),
    peers: config.peers.map((peer) => {
      const { connections } = peer.limits;
      return connections === null ? peer : { ...peer, limits: { ...peer.limits, connections: byChance(connections) } };
    }),
  };
}

/**
 * Of the workers that have a queue on disk, those that run no more and whose mail this one sees through. Each has one that
 * does, however many there were and are.
 */
export function formerWorkers(withQueue: readonly number[], { worker, workers }: WorkerShare): readonly number[] {
  return withQueue.filter((former) => former > workers && (former - 1) % workers === worker - 1);
}
