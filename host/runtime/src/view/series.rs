use oast_core::{TimeSpan, Timestamp, Window};

/// A window and the series of states that it is made of.
pub(crate) struct ViewWindow {
    pub(crate) window: Window,
    pub(crate) series: Series,
}

/// A series of states, by its place among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// Tiles of one width, and the blocks over them.
    Tiles(usize),
    /// The newest events.
    Recent(usize),
    /// Sessions.
    Sessions(usize),
}

/// The distinct series of states that serve the windows of a view.
#[derive(Default)]
pub(crate) struct SeriesShapes {
    pub(crate) tiles: Vec<TilesShape>,
    pub(crate) recent: Vec<RecentShape>,
    pub(crate) sessions: Vec<SessionsShape>,
}

/// One aggregate's tiles of one width.
pub(crate) struct TilesShape {
    pub(crate) aggregate: usize,
    pub(crate) hop: Option<TimeSpan>,
    /// The highest level of blocks that any window of the series can use.
    pub(crate) levels: u8,
    /// The window that reaches back furthest.
    longest: Window,
}

impl TilesShape {
    /// The first tile that a lookup at `time` can see. Windows only move on, so no later lookup sees one before it.
    pub(crate) fn first_tile(&self, time: Timestamp) -> i64 {
        self.longest.tiles_at(time).start
    }
}

/// One aggregate's newest events: one series for all of its windows.
pub(crate) struct RecentShape {
    pub(crate) aggregate: usize,
    /// The most that any window reaches back for.
    pub(crate) events: usize,
}

/// One aggregate's sessions of one gap.
pub(crate) struct SessionsShape {
    pub(crate) aggregate: usize,
    pub(crate) gap: TimeSpan,
}

impl SeriesShapes {
    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.tiles.len() + self.recent.len() + self.sessions.len()
    }

    /// Finds or adds the series that a window of an aggregate is made of.
    pub(super) fn place(&mut self, window: Window, aggregate: usize) -> ViewWindow {
        let series = match window {
            Window::Sawtooth { .. } | Window::Lifetime => Series::Tiles(self.place_tiles(window, aggregate)),
            Window::Last { events } => Series::Recent(self.place_recent(events as usize, aggregate)),
            Window::Session { gap } => Series::Sessions(self.place_sessions(gap, aggregate)),
        };
        ViewWindow { window, series }
    }

    fn place_tiles(&mut self, window: Window, aggregate: usize) -> usize {
        let (hop, levels) = (window.hop(), window.levels());
        let is_same = |shape: &TilesShape| shape.aggregate == aggregate && shape.hop == hop;
        let index = find_or_add(&mut self.tiles, is_same, TilesShape { aggregate, hop, levels, longest: window });
        let shape = &mut self.tiles[index];
        shape.levels = shape.levels.max(levels);
        shape.longest = shape.longest.max(window);
        index
    }

    fn place_recent(&mut self, events: usize, aggregate: usize) -> usize {
        let is_same = |shape: &RecentShape| shape.aggregate == aggregate;
        let index = find_or_add(&mut self.recent, is_same, RecentShape { aggregate, events });
        let shape = &mut self.recent[index];
        shape.events = shape.events.max(events);
        index
    }

    fn place_sessions(&mut self, gap: TimeSpan, aggregate: usize) -> usize {
        let is_same = |shape: &SessionsShape| shape.aggregate == aggregate && shape.gap == gap;
        find_or_add(&mut self.sessions, is_same, SessionsShape { aggregate, gap })
    }
}

fn find_or_add<T>(shapes: &mut Vec<T>, is_same: impl FnMut(&T) -> bool, new: T) -> usize {
    shapes.iter().position(is_same).unwrap_or_else(|| {
        shapes.push(new);
        shapes.len() - 1
    })
}
