import type { HostAlias, PodPlace } from "./network";
import { type CommandResult, type CommandOptions, runCommand } from "./run-command";

/** A Pod as its programs see it: an address in a zone, and host aliases. */
export interface Client {
  readonly place: PodPlace;
  /**
   * Runs a command of this machine there and waits for its end, in this process's working
   * directory.
   */
  run(command: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Before a command, it makes the command run there: for `spawn`. */
  readonly prefix: readonly string[];
  /** As if the Pod had been made anew with other spec.hostAliases. */
  setHostAliases(aliases: readonly HostAlias[]): Promise<void>;
  remove(): Promise<void>;
}

/** What runs commands in a Pod's namespaces. */
export function createClient(place: PodPlace, onRemove: () => void): Client {
  // To enter a mount namespace is to leave the working directory.
  const prefix = [...place.prefix, "sh", "-c", 'cd "$0" && exec "$@"', process.cwd()];
  return {
    place,
    prefix,
    run: async (command, options) => runCommand([...prefix, ...command], options),
    setHostAliases: async (aliases) => place.setHostAliases(aliases),
    async remove() {
      onRemove();
      await place.remove();
    },
  };
}
