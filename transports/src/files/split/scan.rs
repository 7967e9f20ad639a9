//! What the readers of each format have in common. A scanner sees a window of the file and says where the next part ends; it remembers
//! how far it has looked, so every byte is looked at once, wherever the file is cut into chunks.

use std::sync::Arc;

/// What a scanner says about its window.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes at its beginning belong to no part.
    Skip(usize),
    /// So many bytes at its beginning are a part.
    Part(usize),
    /// Nothing can be said without more of the file.
    More,
    /// Nothing comes any more.
    End,
}

/// The file is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Where in the window.
    pub(super) at: usize,
    /// What is wrong: `a quoted cell has no end`.
    pub(super) what: String,
}

impl Malformed {
    pub(super) fn new<T>(at: usize, what: impl Into<String>) -> Result<T, Self> {
        Err(Self {
            at,
            what: what.into(),
        })
    }
}

/// The reader of one format.
pub(super) trait Scan: Send {
    /// Looks at the window, which begins where the last part or skip ended. `end` says that the file ends with it.
    ///
    /// # Errors
    /// Where the file is malformed.
    fn scan(&mut self, window: &[u8], end: bool) -> Result<Found, Malformed>;

    /// What a fresh scanner has to read before it can go on at the part that was found last: the header row, the elements around it.
    fn context(&self) -> Arc<[u8]>;

    /// Begins a document.
    fn open(&self, document: &mut Vec<u8>);

    /// Adds the bytes of a part to a document, which has `before` parts already.
    fn add(&self, document: &mut Vec<u8>, part: &[u8], before: usize);

    /// Ends a document.
    fn close(&self, document: &mut Vec<u8>);
}
