import { expect, test, vi } from "vitest";
import { Pictures } from "./pictures";

function asked() {
  const read = vi.fn((user: string) => (user === "users/none" ? Promise.reject(new Error("none")) : Promise.resolve(new Blob([user]))));
  return { read, pictures: new Pictures(read) };
}

test("a picture is asked for once, whoever shows it", async () => {
  const { read, pictures } = asked();
  const [one, other] = await Promise.all([pictures.of("users/a"), pictures.of("users/a")]);
  expect(one).toMatch(/^blob:/);
  expect(other).toBe(one);
  expect(read).toHaveBeenCalledTimes(1);
});

test("who has no picture has none, and is not asked for again", async () => {
  const { read, pictures } = asked();
  expect(await pictures.of("users/none")).toBe("");
  expect(await pictures.of("users/none")).toBe("");
  expect(read).toHaveBeenCalledTimes(1);
});

test("what is forgotten is asked for anew, and no more are kept than a few hundred", async () => {
  const { read, pictures } = asked();
  await pictures.of("users/a");
  pictures.forgetAll();
  await pictures.of("users/a");
  expect(read).toHaveBeenCalledTimes(2);
  for (let number = 0; number < 300; number++) await pictures.of(`users/${number}`);
  await pictures.of("users/a");
  expect(read).toHaveBeenCalledTimes(303);
});
