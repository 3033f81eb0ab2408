import { expect, test } from "vitest";
import { layoutOf, ratioOf } from "./layout";

const STAGES = [
  [1100, 560],
  [1920, 900],
  [360, 560],
  [800, 300],
] as const;

test("however many tiles there are, all of them are on the stage", () => {
  for (const [width, height] of STAGES)
    for (let count = 1; count <= 49; count++) {
      const layout = layoutOf(count, width, height, 10);
      const rows = Math.ceil(count / layout.columns);
      expect(layout.width * layout.columns + 10 * (layout.columns - 1)).toBeLessThanOrEqual(width);
      expect((layout.width / ratioOf(width, height)) * rows + 10 * (rows - 1)).toBeLessThanOrEqual(height);
      expect(layout.width).toBeGreaterThan(30);
    }
});

test("two tiles stand side by side on a desk and one above the other on a phone", () => {
  expect(layoutOf(2, 1100, 560, 10).columns).toBe(2);
  expect(layoutOf(2, 360, 560, 10).columns).toBe(1);
});

test("a stage that has no size yet is no trouble", () => {
  expect(layoutOf(4, 0, 0, 10)).toEqual({ columns: 1, width: 0 });
});
