import { isOfPlatform } from "../../../../lib/docker/images/platform";

const AMD = { Os: "linux", Architecture: "amd64" };
const ARM = { Os: "linux", Architecture: "arm64", Variant: "v8" };
const ARM_WITHOUT_VARIANT = { Os: "linux", Architecture: "arm64", Variant: "" };

test.each([
  ["linux", AMD],
  ["amd64", AMD],
  ["linux/amd64", AMD],
  ["linux/x86_64", AMD],
  ["linux/arm64", ARM],
  ["linux/arm64/v8", ARM],
  ["linux/aarch64", ARM_WITHOUT_VARIANT],
  ["linux/arm64/v8", ARM_WITHOUT_VARIANT],
  ["Linux/ARM/v6", { Os: "linux", Architecture: "arm", Variant: "v6" }],
])("an image for %s is of that platform in each notation: %j", (platform, image) => {
  expect(isOfPlatform(image, platform)).toBe(true);
});

test.each([
  ["windows", AMD],
  ["windows/amd64", AMD],
  ["arm64", AMD],
  ["linux/arm/v7", { Os: "linux", Architecture: "arm", Variant: "v6" }],
  ["linux/unknown", AMD],
])("an image is not of the platform %s: %j", (platform, image) => {
  expect(isOfPlatform(image, platform)).toBe(false);
});
