/// Told how far a long piece of work has come. The work is the same whoever listens.
pub trait Progress: Sync {
    /// A new phase begins; `total` is in the units of [`Self::advance`], if it is known.
    fn phase(&self, name: &str, total: Option<u64>);

    /// This much more of the phase is done.
    fn advance(&self, amount: u64);

    /// The work is over, and had to put so many bytes into a file because memory could not hold them.
    fn spilled(&self, _bytes: u64) {}

    /// Whether the work is to end before its time. It asks after each piece, keeps what is of use to the next try, and ends
    /// with [`RuntimeError::Stopped`](crate::RuntimeError::Stopped).
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Nobody listens.
impl Progress for () {
    fn phase(&self, _name: &str, _total: Option<u64>) {}

    fn advance(&self, _amount: u64) {}
}
