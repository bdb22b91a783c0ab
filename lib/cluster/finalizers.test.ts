import { FakeCluster } from "../../test/credentials/fake-cluster";
import type { KubernetesObject } from "../api";
import { ApiError, isConflict } from "./errors";
import { setFinalizer } from "./finalizers";

const OURS = "fairlead.dev/exposure";
const wish = { finalizer: OURS, fieldManager: "fairlead-exposure" } as const;

type WithStatus = KubernetesObject & { readonly status?: unknown };

const object = (finalizers?: readonly string[]): WithStatus => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: {
    namespace: "tenant-a",
    name: "main",
    ...(finalizers === undefined ? {} : { finalizers }),
  },
});

const only = (cluster: FakeCluster): WithStatus | undefined => cluster.list("HostedAPIServer")[0];

function changed(read: KubernetesObject, finalizers: readonly string[]): KubernetesObject {
  return { ...read, metadata: { ...read.metadata, finalizers } };
}

describe("setting a finalizer", () => {
  it("adds the first one, and one beside others", async () => {
    for (const others of [undefined, ["example.com/other"]]) {
      const cluster = new FakeCluster();
      const read = cluster.put(object(others));
      const written = await setFinalizer(cluster.client(), read, { ...wish, present: true });
      expect(written.metadata.finalizers).toEqual([...(others ?? []), OURS]);
      expect(only(cluster)?.metadata.finalizers).toEqual([...(others ?? []), OURS]);
    }
  });

  it("takes its own away and leaves others", async () => {
    const cluster = new FakeCluster();
    const read = cluster.put(object(["example.com/a", OURS, "example.com/b"]));
    await setFinalizer(cluster.client(), read, { ...wish, present: false });
    expect(only(cluster)?.metadata.finalizers).toEqual(["example.com/a", "example.com/b"]);
  });

  it("does not mind what else was written meanwhile", async () => {
    const cluster = new FakeCluster();
    const read = cluster.put(object());
    cluster.put({ ...read, status: { conditions: [] } } as WithStatus);
    await setFinalizer(cluster.client(), read, { ...wish, present: true });
    expect(only(cluster)).toMatchObject({
      metadata: { finalizers: [OURS] },
      status: { conditions: [] },
    });
  });

  it("is a conflict where another finalizer came or went meanwhile", async () => {
    for (const [before, meanwhile] of [
      [undefined, ["example.com/other"]],
      [["example.com/other"], []],
    ] as const) {
      const cluster = new FakeCluster();
      const read = cluster.put(object(before));
      cluster.put(changed(read, meanwhile));
      const tried = setFinalizer(cluster.client(), read, { ...wish, present: true });
      await expect(tried).rejects.toThrow("were changed meanwhile");
      await expect(tried.catch(isConflict)).resolves.toBe(true);
      expect(only(cluster)?.metadata.finalizers).toEqual(meanwhile);
    }
  });

  it("is a conflict where another object has the name by now", async () => {
    const cluster = new FakeCluster();
    const read = cluster.put(object());
    cluster.remove(read);
    cluster.put(object());
    const tried = setFinalizer(cluster.client(), read, { ...wish, present: true });
    await expect(tried.catch(isConflict)).resolves.toBe(true);
    expect(only(cluster)?.metadata.finalizers).toBeUndefined();
  });

  it("tells a policy's refusal as it is", async () => {
    const cluster = new FakeCluster();
    const read = cluster.put(object());
    cluster.beforeWrite = () => {
      throw new ApiError("denied by a policy", { status: 422, reason: "Invalid" });
    };
    const tried = setFinalizer(cluster.client(), read, { ...wish, present: true });
    await expect(tried).rejects.toThrow("denied by a policy");
  });
});
