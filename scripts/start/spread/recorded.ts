import type { Mode, Part, Server } from "./spread";

const servers: readonly Server[] = ["tenant-a", "tenant-b"].flatMap((tenant) =>
  [0, 1, 2].map((index) => ({ tenant, name: `kube-apiserver-${index}` })),
);

function part(mode: Mode, requests: readonly (readonly number[])[]): Part {
  return {
    mode,
    servers,
    samples: requests.map((counts, second) => ({ atMs: second * 1_000, requests: counts })),
    clients: ["tenant-a", "tenant-b"].map((tenant) => ({
      tenant,
      connections: 4,
      succeeded: 1_000,
      failed: 0,
    })),
  };
}

/** What a run has measured, at each second. */
export const recordedL4 = part("L4", [
  [0, 0, 0, 0, 0, 0],
  [516, 0, 9, 16, 0, 531],
  [1_043, 0, 18, 36, 0, 1_090],
  [1_570, 0, 27, 53, 0, 1_654],
]);

/** The same load in L7. */
export const recordedL7 = part("L7", [
  [0, 0, 0, 0, 0, 0],
  [98, 100, 100, 99, 99, 99],
  [205, 207, 206, 211, 210, 211],
  [314, 315, 314, 333, 333, 333],
]);
