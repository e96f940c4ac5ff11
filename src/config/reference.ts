import { acceptedForm, type Description, description } from "./description.ts";
import { RESTART_KEYS } from "./restart.ts";

/** The JSON Schema (2020-12) of the settings as TOML or JSON holds them, for editors. */
export function configJsonSchema(): unknown {
  return JSON.parse(
    JSON.stringify(description, (key: string, value: unknown) => (key === "accepted" ? undefined : value)),
  );
}

const INTRODUCTION = `# Configuration

Postern reads one TOML file. Paths in it are relative to the file itself. \`postern check --config FILE\` lists everything that is
wrong with one, with its line. This page and the JSON Schema ([config.schema.json](config.schema.json)) are made from
\`src/config/schema.ts\`; after a change there run \`./postern config reference > docs/config.md\` and
\`./postern config schema > docs/config.schema.json\`.

A running daemon takes a changed file on SIGHUP (\`systemctl reload\`), for all connections and deliveries that begin afterwards; files that it
names are read anew as well. With a problem in any of them everything stays as it was. What only a restart changes is marked; it is named
in the log, and the rest is taken.
`;

/** The reference page: every table and key with its meaning, accepted form and default, as Markdown. */
export function configReference(): string {
  const sections = [INTRODUCTION, keys([], description), ...tables([], description)];
  return `${sections.join("\n").trimEnd()}\n`;
}

function tables(path: readonly string[], table: Description): string[] {
  return Object.entries(table.properties ?? {}).flatMap(([name, node]) => {
    const inner = node.type === "array" ? node.items : node;
    if (inner?.properties === undefined) return [];
    const here = [...path, name];
    const title = node.type === "array" ? `[[${here.join(".")}]]` : `[${here.join(".")}]`;
    const section = `## \`${title}\`\n\n${meaning(here, node.description ?? inner.description)}\n\n${keys(here, inner)}`;
    return [section, ...tables(here, inner)];
  });
}

function keys(path: readonly string[], table: Description): string {
  const rows = Object.entries(table.properties ?? {}).flatMap(([name, node]) => {
    if (node.properties !== undefined || node.items?.properties !== undefined) return [];
    const form = node.items === undefined ? acceptedForm(node) : `a list; each ${acceptedForm(node.items)}`;
    const missing = table.required?.includes(name) === true ? "**required**" : "–";
    const given = node.default === undefined ? missing : `\`${JSON.stringify(node.default)}\``;
    return [`| \`${name}\` | ${cell(meaning([...path, name], node.description))} | ${cell(form)} | ${given} |`];
  });
  return ["| key | meaning | write | default |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

/** Of `[tls]` a reload takes all but its coming and going, which its own text need not tell. */
function meaning(path: readonly string[], text = ""): string {
  const key = path.join(".");
  return RESTART_KEYS.includes(key) && key !== "tls" ? `${text} A change needs a restart.` : text;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
