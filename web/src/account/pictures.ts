/** People's pictures, each asked for once: the address of an image, or empty for who has none. */

const MOST = 300;

export type ReadPicture = (user: string) => Promise<Blob>;

export class Pictures {
  readonly #read: ReadPicture;
  readonly #known = new Map<string, Promise<string>>();

  constructor(read: ReadPicture) {
    this.#read = read;
  }

  /** `user` is `users/{id}`. A picture that can't be had counts as none: there is the name's first letter instead. */
  of(user: string): Promise<string> {
    let picture = this.#known.get(user);
    if (picture === undefined) {
      if (this.#known.size >= MOST) this.forgetAll();
      picture = this.#read(user).then(
        (image) => URL.createObjectURL(image),
        () => "",
      );
      this.#known.set(user, picture);
    }
    return picture;
  }

  /** Ask anew for everybody's from now on. */
  forgetAll(): void {
    for (const picture of this.#known.values()) void picture.then((address) => URL.revokeObjectURL(address));
    this.#known.clear();
  }
}
