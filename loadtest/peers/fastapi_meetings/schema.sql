-- The yardstick's tables: those columns and indexes of Parley's own that its one endpoint reads.
CREATE TABLE meetings (
    id uuid PRIMARY KEY,
    code varchar(12) NOT NULL UNIQUE,
    title varchar(200) NOT NULL,
    description varchar(2000) NOT NULL,
    host_id uuid NOT NULL,
    state varchar(16) NOT NULL,
    passcode varchar(32) NOT NULL,
    capacity integer NOT NULL,
    locked boolean NOT NULL,
    voice_activity boolean NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    start_time timestamptz,
    end_time timestamptz,
    revision integer NOT NULL
);
CREATE TABLE participants (
    id uuid PRIMARY KEY,
    meeting_id uuid NOT NULL REFERENCES meetings (id) ON DELETE CASCADE,
    state varchar(16) NOT NULL
);
CREATE INDEX participants_meeting ON participants (meeting_id, state);
