// What a collector of metrics sees of a node.

/** Values by their series, as they are written: `postern_connections_total{service="mx",tls="none"}`. */
export type Collected = ReadonlyMap<string, number>;

/** Collects once; fails unless it is a whole answer of 200. */
export async function collect(port: number): Promise<Collected> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${answer.status}: ${text}`);
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const [, series = "", value = ""] = /^(\w+(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? [];
      if (series === "" || Number.isNaN(Number(value))) throw new Error(`not a sample: ${line}`);
      return [series, Number(value)];
    }),
  );
}
