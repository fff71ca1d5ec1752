// The page's names for parts of the API's answers, and for what its own files hand to each other.
import type { GetAnswers, StreamEvents } from "./openapi.d.ts";

export type { GetAnswers, PostAnswers } from "./openapi.d.ts";

// They are named by path and field, so that the API's names of its schemas are of no matter here.
export type Live = Extract<StreamEvents["/v1/live"], { projections: unknown }>;
export type Followed = Extract<StreamEvents["/v1/live"], { name: unknown; chart: unknown }>;
export type Chart = GetAnswers["/v1/charts/{kind}/{window}"];
export type ChartEntry = Chart["entries"][number];
export type Song = Extract<GetAnswers["/v1/songs/{song_id}"]["song"], { userId: string }>;
export type NamedSong = Exclude<GetAnswers["/v1/songs/{song_id}"]["song"], Song>;
export type Standing = GetAnswers["/v1/songs/{song_id}/history"]["standings"][number];
export type HourOfPlays = GetAnswers["/v1/songs/{song_id}/plays"]["hours"][number];
export type LibrarySummary = GetAnswers["/v1/users/{user_id}/summary"];
export type Library = GetAnswers["/v1/users/{user_id}/library"];
export type LibraryEntry = Library["entries"][number];
export type RecentListen = GetAnswers["/v1/users/{user_id}/recent"]["listens"][number];
export type Ingestion = GetAnswers["/v1/ingestions/{ingestion_id}"];
export type HistoryImport = GetAnswers["/v1/imports/{import_id}"];
export type ImportState = HistoryImport["state"];
export type IngestionState = Ingestion["state"];
export type DeadLetters = GetAnswers["/v1/deadletters"];
export type DeadLetter = DeadLetters["letters"][number];
export type ParkedRecords = GetAnswers["/v1/parked"];
export type ParkedRecord = ParkedRecords["records"][number];
export type Projection = Live["projections"][number];
export type NowPlaying = Live["playing"][number];
export type PageSession = GetAnswers["/v1/session"];
export type EventKinds = NonNullable<Live["kinds"]>;

/** What a token allows: docs/identity.md. */
export type Scope =
  | "events:write"
  | "events:write:any"
  | "songs:write"
  | "library:read"
  | "library:read:any"
  | "charts:read"
  | "admin";

/** The parameters in a path of the OpenAPI document: `song_id` in `/v1/songs/{song_id}`. */
export type ParameterNames<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParameterNames<Rest>
  : never;

/** What tells one chart from another. */
export type ChartKey = Pick<Chart, "kind" | "window" | "scope">;

/** What the stream says. A chart is null while it was never computed. */
export type LiveMessage =
  | { type: "live"; detail: Live }
  | { type: "chart"; detail: Followed }
  | { type: "state"; detail: "lost" };

/** The same to one tab, which follows one chart at most and so needs no name. */
export type TabMessage = Exclude<LiveMessage, { type: "chart" }> | { type: "chart"; detail: Chart | null };

/** What a tab tells the shared worker. `follow` is the name of a chart; null means none. */
export type WorkerRequest = { follow: string | null } | { here: true } | { bye: true } | { user: string | null };

export type ConnectionState = "waiting" | "live" | "lost";

export interface Route {
  /** The parts of the address that the view's pattern names. */
  values: (string | undefined)[];
  query: URLSearchParams;
}

/** What is shown below the header, with what it does when something happens. */
export interface View {
  title: string;
  element: HTMLElement;
  /** The chart whose changes `onChart` gets. */
  follows?: ChartKey;
  onLive?(live: Live): void;
  onChart?(chart: Chart | null): void;
  /** What was away is back: the view asks again for what it could not get. */
  onRecovery?(): void;
  onLeave?(): void;
}

/** A row of a list whose rows are kept by key. */
export interface Row<Item> {
  element: HTMLElement;
  update(item: Item): void;
}

export interface Plot {
  setData(data: import("uplot").AlignedData): void;
  destroy(): void;
}

export type Child = Node | string | null | undefined | false;

type Listeners = { [Name in keyof HTMLElementEventMap as `on${Name}`]?: (event: HTMLElementEventMap[Name]) => void };

/** Attributes and listeners of an element. An attribute that is true is set to nothing; false and null leave it out. */
export interface Props extends Listeners {
  // biome-ignore lint/suspicious/noExplicitAny: the listeners above have the types of their events
  [name: string]: string | number | boolean | null | undefined | ((event: any) => void);
}
