import { execFile } from "node:child_process";
import { open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Why a test that needs this is left out, or false; where `POSTERN_INTEROP=required` is set nothing is left out. */
export async function unlessPermitted(what: "mount" | "chattr", folder: string): Promise<string | false> {
  if (process.env.POSTERN_INTEROP === "required") return false;
  const probe = join(folder, "probe");
  try {
    if (what === "mount") {
      await run("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
      await run("umount", [folder]);
    } else {
      await (await open(probe, "w")).close();
      await run("chattr", ["+i", probe]);
      await run("chattr", ["-i", probe]);
      await rm(probe);
    }
    return false;
  } catch {
    return `${what} is not permitted here`;
  }
}

/** A disk of its own, as small as wanted, that a test fills and frees. */
export class SmallDisk {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Lays it over a folder that is there. */
  static async mount(folder: string, mebibytes: number): Promise<SmallDisk> {
    await run("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m,mode=700`, "tmpfs", folder]);
    return new SmallDisk(folder);
  }

  /** Fills it until so many octets are left. */
  async fill(left: number): Promise<void> {
    const handle = await open(join(this.#folder, "filler"), "a");
    try {
      const block = Buffer.alloc(64 * 1024);
      for (let free = await this.#free(); free > left; free = await this.#free()) {
        await handle.write(block.subarray(0, Math.min(block.length, free - left)));
      }
    } catch (error) {
      // Others write, too: what was left when it was measured need not be left now.
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      await handle.close();
    }
  }

  /** Takes away what filled it. */
  async free(): Promise<void> {
    await rm(join(this.#folder, "filler"), { force: true });
  }

  async #free(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#folder);
    return bavail * bsize;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily: the daemon may still have files open there.
    await run("umount", ["-l", this.#folder]);
  }
}

/** Makes files unchangeable, also for those who have them open, and changeable again. */
export async function setImmutable(files: readonly string[], immutable: boolean): Promise<void> {
  await run("chattr", [immutable ? "+i" : "-i", ...files]);
}
