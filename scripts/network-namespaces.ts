import execa from "execa";

/** Whether this machine lets a process have a network namespace, as root or by a user namespace. */
export async function hasNetworkNamespaces(): Promise<boolean> {
  const attempts = [["--net"], ["--user", "--map-root-user", "--net"]];
  for (const args of attempts) {
    const result = await execa("unshare", [...args, "ip", "link"], { reject: false });
    if (result.exitCode === 0) return true;
  }
  return false;
}
