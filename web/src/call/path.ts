/** A media path: the two connections, publisher and subscriber, by which one media node carries us. */
import type { SubscribeOffer } from "../gen/parley/signaling/v1/signaling_pb";
import { Publisher, type PublisherListener } from "./publisher";
import type { Signaling } from "./signaling";
import type { OwnMedia } from "./sources";
import { Subscriber, type SubscriberListener } from "./subscriber";

/**
 * Told of every transceiver and receiver before anything goes through it, where media is encrypted; and of what the
 * server has muted.
 */
export type Seams = Pick<PublisherListener, "made" | "silenced"> & Pick<SubscriberListener, "arrived">;

export class Path {
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
  #began = false;

  constructor(
    private readonly signaling: Signaling,
    iceServers: RTCIceServer[],
    listener: PublisherListener & SubscriberListener,
  ) {
    this.subscriber = new Subscriber(signaling, iceServers, listener);
    this.publisher = new Publisher(signaling, iceServers, listener);
  }

  /** Have a place made on a media node, and publish what there is. */
  async open(own: OwnMedia): Promise<void> {
    await this.signaling.ask({ case: "startMedia", value: { $typeName: "parley.signaling.v1.StartMedia" } });
    await this.publisher.start(own);
  }

  /** Take an offer, if it is this path's: a path's offers begin at revision 1. */
  offered(offer: SubscribeOffer): boolean {
    this.#began ||= offer.revision <= 1;
    if (this.#began) this.subscriber.offered(offer);
    return this.#began;
  }

  get isBroken(): boolean {
    return this.#states.some((state) => state === "disconnected" || state === "failed");
  }

  /** Whether all is connected that there is anything for. */
  get isThrough(): boolean {
    return this.#states.every((state) => state === "connected" || state === "new");
  }

  get #states(): RTCPeerConnectionState[] {
    return [this.publisher.state, this.subscriber.state];
  }

  /** Look for a path anew, at once, both ways. */
  restart(): void {
    this.publisher.restart();
    this.subscriber.restart();
  }

  /** Go on as it is, without the server: another path is being built. */
  retire(): void {
    this.publisher.retire();
    this.subscriber.retire();
  }

  close(): void {
    this.publisher.close();
    this.subscriber.close();
  }
}
