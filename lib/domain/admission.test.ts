import { describeAdmission, parseAdmission, type Admission } from "./admission";

describe("by what Pods are admitted", () => {
  const all: readonly Admission[] = [
    { by: "policies", reason: "InForce", except: [] },
    { by: "policies", reason: "InForce", except: ["tenant-a", "tenant-b"] },
    { by: "webhook", reason: "WriteRefused", message: 'The API server says: "no",\nor so.' },
  ];

  it.each(all)("is read as it was written: %j", (admission) => {
    expect(parseAdmission(describeAdmission(admission))).toEqual(admission);
  });

  it.each([undefined, "", "Policies"])("is not said by %j", (text) => {
    expect(parseAdmission(text)).toBeUndefined();
  });
});
