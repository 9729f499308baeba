use std::time::Duration;

/// What a client may ask of the daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of a request's body.
    pub(crate) body_bytes_max: usize,
    /// Entities of a lookup.
    pub(crate) rows_max: usize,
    /// Bytes of a request's head.
    pub(crate) header_bytes_max: u32,
    /// How long a client may take to send a request's head, or keep a connection without a request.
    pub(crate) header_time_max: Duration,
    /// Connections at once; more of them wait to be accepted.
    pub(crate) connections_max: u32,
}

/// The largest request body unless the operator says otherwise.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

/// The most entities of a lookup unless the operator says otherwise.
pub(crate) const ROWS_MAX: usize = 10_000;

/// The largest request head unless the operator says otherwise.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 << 10;

/// The smallest limit on a request's head that HTTP/1.1 can be read with.
pub(crate) const HEADER_BYTES_MAX_LEAST: i64 = 8 << 10;

/// How long a head may take unless the operator says otherwise.
pub(crate) const HEADER_SECONDS_MAX: u64 = 30;

/// The most connections unless the operator says otherwise.
pub(crate) const CONNECTIONS_MAX: u32 = 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: BODY_BYTES_MAX,
            rows_max: ROWS_MAX,
            header_bytes_max: HEADER_BYTES_MAX,
            header_time_max: Duration::from_secs(HEADER_SECONDS_MAX),
            connections_max: CONNECTIONS_MAX,
        }
    }
}
