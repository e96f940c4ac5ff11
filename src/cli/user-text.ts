import type { Users } from "../daemon/index.ts";

type UserSummary = Awaited<ReturnType<Users["summaries"]>>[number];

/** A user as JSON: times as ISO 8601, null for never. */
export function userView({ name, disabledAt, grants, limits, appPasswords }: UserSummary) {
  return {
    name,
    disabled: time(disabledAt),
    aliases: grants,
    limits,
    appPasswords: appPasswords.map((each) => ({ name: each.name, added: time(each.addedAt), used: time(each.usedAt) })),
  };
}

/** A user for people: the name, and below it what is not as for everybody. */
export function userLines(summary: UserSummary): readonly string[] {
  const { name, disabled, aliases, limits, appPasswords } = userView(summary);
  const set = Object.entries(limits).map(([limit, value]) => `${limit}=${value === 0 ? "none" : value}`);
  return [
    disabled === null ? name : `${name} (disabled ${disabled})`,
    ...(aliases.length === 0 ? [] : [`  may send as: ${aliases.join(", ")}`]),
    ...(set.length === 0 ? [] : [`  limits: ${set.join(", ")}`]),
    ...appPasswords.map(
      (each) => `  app password ${each.name}: added ${each.added}, ${each.used ? `used ${each.used}` : "never used"}`,
    ),
  ];
}

function time(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
