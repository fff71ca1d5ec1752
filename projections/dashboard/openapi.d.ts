// Written by `make schemas` from `schemas/published/openapi.json`. Don't edit it: the next run overwrites it.

export interface Chart {
  kind: "top" | "trending";
  window: "1h" | "24h" | "5m" | "7d";
  scope: string;
  policy: string;
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  comparedWith?: string | null;
  entries: ChartEntry[];
}

export interface ChartEntry {
  rank: number;
  songId: string;
  title: string | null;
  artist: string | null;
  genre: string | null;
  listens: number;
  likes: number;
  score: number;
  previousRank: number | null;
}

export interface ErasureAnswer {
  id: string;
  state: "done" | "running" | "undone" | "waiting";
  songs: "keep" | "remove";
  requestedAt: string;
  dueAt: string;
  begunAt: string | null;
  doneAt: string | null;
  undoneAt: string | null;
  steps: ErasureStep[];
  progress: StepProgress | null;
  tailUntil: string | null;
  chartsUntil: string | null;
}

export interface ErasureStep {
  name: string;
  doneAt: string;
  counts?: Record<string, number>;
  note?: string;
}

export interface StepProgress {
  name: string;
  counts?: Record<string, number>;
  last?: string;
  unreadable?: string[];
  waitsFor?: string;
}

export interface Followed {
  name: string;
  chart: Chart | null;
}

export interface History {
  kind: "top" | "trending";
  window: "1h" | "24h" | "5m" | "7d";
  scope: string;
  since: string;
  until: string;
  charts: Chart[];
}

export interface ImportAnswer {
  asOf: string;
  id: string;
  userId: string;
  state:
    | "done"
    | "failed"
    | "queued"
    | "refused"
    | "running"
    | "stopped"
    | "stopping"
    | "undoing"
    | "undone";
  receivedAt: string;
  updatedAt: string;
  fileName: string | null;
  size: number;
  dryRun: boolean;
  counts: ImportCounts;
  reason: string | null;
}

export interface ImportCounts {
  read?: number;
  taken?: number;
  known?: number;
  matched?: number;
  byName?: number;
  skipped?: Record<string, number>;
  formats?: Record<string, number>;
}

export interface ImportsAnswer {
  asOf: string;
  userId: string;
  imports: ImportAnswer[];
}

export interface Index {
  kinds?: string[];
  windows?: string[];
  scopes?: string[];
  regions?: string[];
  maxLimit?: number;
}

export interface IngestionAnswer {
  asOf: string;
  id: string;
  userId: string;
  state: "dead" | "processing" | "queued" | "ready" | "received" | "rejected";
  receivedAt: string;
  updatedAt: string;
  fileName: string | null;
  contentType: string;
  sha256: string;
  size: number;
  attempts: number;
  reason: Reason | null;
  songId: string | null;
  audio: Audio | null;
  removedAt: string | null;
  history: Transition[];
}

export interface Reason {
  cause:
    | "corrupt"
    | "cut-off"
    | "empty"
    | "failed"
    | "hash-mismatch"
    | "missing-upload"
    | "not-audio"
    | "removed"
    | "too-big"
    | "too-long"
    | "unfinished"
    | "unsupported";
  text: string;
}

export interface Audio {
  format: string;
  contentType: string;
  durationMs: number;
  title: string;
  artist: string;
  album?: string | null;
  genre?: string | null;
  artists?: string[] | null;
  genres?: string[] | null;
}

export interface Transition {
  state: "dead" | "processing" | "queued" | "ready" | "received" | "rejected";
  at: string;
  reason?: Reason | null;
  note?: string | null;
}

export interface IngestionsAnswer {
  asOf: string;
  ingestions: IngestionAnswer[];
}

export interface LettersAnswer {
  asOf: string;
  letters: Letter[];
  more: boolean;
}

export interface Letter {
  number: number;
  reason: string | null;
  description: string | null;
  tries: number;
  sentAt: string | null;
  commandId?: string | null;
  commandType?: string | null;
  userId?: string | null;
  fileName?: string | null;
}

export interface Library {
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  userId: string;
  entries: LibraryEntry[];
  next: string | null;
}

export interface LibraryEntry {
  songId: string;
  title: string | null;
  artist: string | null;
  genre: string | null;
  plays: number;
  msPlayed: number;
  firstPlayedAt: string | null;
  lastPlayedAt: string | null;
  liked: boolean;
  likedAt: string | null;
  uploaded: boolean;
  uploadedAt: string | null;
}

export interface LibrarySummary {
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  userId: string;
  listens: number;
  msPlayed: number;
  songs: number;
  liked: number;
  uploaded: number;
  firstListenAt: string | null;
  lastListenAt: string | null;
}

export interface Live {
  asOf: string;
  kinds: Kinds | null;
  hubs: HubNow[];
  projections: Projection[];
  uploads: Waiting | null;
  playing: NowPlaying[];
  troubles: string[];
}

export interface Kinds {
  played: number;
  liked: number;
  unliked: number;
  uploaded: number;
  removed: number;
  imported: number;
  undone: number;
  matched: number;
  unmatched: number;
  sampled: boolean;
}

export interface HubNow {
  name: string;
  rate: number | null;
  events: number;
}

export interface Projection {
  name: string;
  freshness: "fresh" | "stale" | "unknown";
  completeThrough: string | null;
  age: number | null;
  lag: number | null;
  rate: number | null;
  secondsToCatchUp?: number | null;
  notReady?: string[];
}

export interface Waiting {
  states: Record<string, number>;
  waitingSince: string | null;
}

export interface NowPlaying {
  userId: string;
  songId: string;
  title: string | null;
  artist: string | null;
  at: string;
}

export interface MatchAnswer {
  asOf: string;
  name: string;
  title: string | null;
  artist: string | null;
  songId: string | null;
  saidAt: string | null;
  effectiveFrom: string | null;
}

export interface MatchesAnswer {
  asOf: string;
  matches: MatchAnswer[];
}

export interface NamedSongAnswer {
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  song: NamedSong;
}

export interface NamedSong {
  id: string;
  title: string;
  artist: string;
  artists: string[];
  album?: string | null;
  matchedWith?: string | null;
}

export interface ParkedAnswer {
  asOf: string;
  records: ParkedEntry[];
  waiting: number;
  more: boolean;
}

export interface ParkedEntry {
  id: string;
  hub: string;
  partition: string;
  position: number;
  enqueuedAt: string | null;
  bodyBytes: number;
  complete: boolean;
  parkedAt: string;
  readers: Record<string, ReaderFailure>;
  state: "discarded" | "parked" | "resubmitted";
  actions?: ParkedAction[];
}

export interface ReaderFailure {
  reason: string;
  detail: string;
  parkedAt: string;
}

export interface ParkedAction {
  action: "discarded" | "resubmitted";
  at: string;
  by: string;
  readers?: string[];
  note?: string | null;
}

export interface Problem {
  title: string;
  status: number;
  detail: string;
  type?: string;
  errors?: Fault[];
  age?: number | null;
}

export interface Fault {
  field: string;
  value: string;
  rule: string;
}

export interface Recent {
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  userId: string;
  listens: RecentListen[];
}

export interface RecentListen {
  at: string;
  songId: string;
  title: string | null;
  artist: string | null;
  genre: string | null;
  msPlayed: number;
}

export interface SessionAnswer {
  signIn: boolean;
  subject: string | null;
  scopes: string[];
  open: string[];
  csrf: string | null;
}

export interface SongAnswer {
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  song: Song;
}

export interface Song {
  id: string;
  userId: string;
  title: string;
  artist: string;
  durationMs: number;
  uploadedAt: string;
  album?: string | null;
  genre?: string | null;
  sha256?: string | null;
  size?: number | null;
  contentType?: string | null;
  artists?: string[] | null;
  genres?: string[] | null;
}

export interface SongHistory {
  asOf: string;
  songId: string;
  points: Point[];
  standings: Standing[];
}

export interface Point {
  asOf: string;
  rank: number;
  listens: number;
  likes: number;
}

export interface Standing {
  window: "1h" | "24h" | "5m" | "7d";
  rank: number;
  listens: number;
  likes: number;
  previousRank: number | null;
}

export interface SongPlays {
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  songId: string;
  hours: HourPlays[];
}

export interface HourPlays {
  hour: string;
  listens: number;
  likes: number;
  unlikes: number;
  counting: boolean;
}

export interface SongsAnswer {
  asOf: string;
  completeThrough: string | null;
  position: Record<string, number>;
  songs: Song[];
  next: string | null;
}

export interface Step {
  id: string;
  state: "dead" | "processing" | "queued" | "ready" | "received" | "rejected";
  at: string;
  reason?: Reason | null;
  songId?: string | null;
  note?: string | null;
}

export interface GetAnswers {
  "/v1/charts": Index;
  "/v1/charts/{kind}/{window}": Chart;
  "/v1/charts/{kind}/{window}/history": History;
  "/v1/songs/{song_id}/history": SongHistory;
  "/v1/songs/{song_id}": SongAnswer | NamedSongAnswer;
  "/v1/songs": SongsAnswer;
  "/v1/songs/{song_id}/plays": SongPlays;
  "/v1/users/{user_id}/library": Library;
  "/v1/users/{user_id}/recent": Recent;
  "/v1/users/{user_id}/summary": LibrarySummary;
  "/v1/ingestions": IngestionsAnswer;
  "/v1/deadletters": LettersAnswer;
  "/v1/ingestions/{ingestion_id}": IngestionAnswer;
  "/v1/users/{user_id}/imports": ImportsAnswer;
  "/v1/imports/{import_id}": ImportAnswer;
  "/v1/matches": MatchesAnswer;
  "/v1/matches/{name}": MatchAnswer;
  "/v1/parked": ParkedAnswer;
  "/v1/erasures/{erasure_id}": ErasureAnswer;
  "/v1/session": SessionAnswer;
}

export interface PostAnswers {
  "/v1/songs": {
    id: string;
    state: string;
    href: string;
  };
  "/v1/songs/{song_id}/plays": {
    id: string;
    status: "sent" | "kept" | "refused";
    duplicate?: boolean;
    position?: Record<string, number>;
  };
  "/v1/listeners/{user_id}/erasure": ErasureAnswer;
  "/v1/events": {
    id: string;
    status: "sent" | "kept" | "refused";
    duplicate?: boolean;
    position?: Record<string, number>;
  } | {
    results: ({
      index: number;
      id?: string;
      status: "sent" | "kept" | "refused";
      duplicate?: boolean;
      error?: {
        field: string;
        value: string;
        rule: string;
      };
    })[];
    position?: Record<string, number>;
  };
  "/v1/imports": {
    id: string;
    state: string;
    href: string;
  };
  "/v1/imports/{import_id}/stop": {
    id: string;
    state: string;
    href: string;
  };
  "/v1/imports/{import_id}/undo": {
    id: string;
    state: string;
    href: string;
  };
}

export interface StreamEvents {
  "/v1/live": Live | Chart | Followed;
  "/v1/now-playing": string;
  "/v1/users/{user_id}/now-playing": string;
  "/v1/ingestions/{ingestion_id}/events": Step;
}
