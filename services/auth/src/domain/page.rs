//! Pages of a list: how many, and from where on.
//!
//! Lists are newest first by (time, id); a token names the last item of the page before. What is added meanwhile comes
//! before it, so a page never repeats or leaves out anything.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::Problem;

const DEFAULT_SIZE: i32 = 50;
const LARGEST: i32 = 1_000;

/// Which list a token belongs to: one list's token is none of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// An account's pets.
    Pets,
    /// A pet's pairings.
    Collars,
    /// A pet's shares.
    Shares,
}

impl List {
    fn tag(self) -> u8 {
        match self {
            Self::Pets => b'p',
            Self::Collars => b'c',
            Self::Shares => b's',
        }
    }
}

/// A place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The item's time.
    pub time: Timestamp,
    /// The item's id.
    pub id: Uuid,
}

impl Cursor {
    /// The token that names it.
    #[must_use]
    pub fn token(&self, list: List) -> String {
        let mut bytes = vec![list.tag()];
        bytes.extend_from_slice(&self.time.as_microsecond().to_be_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn parse(list: List, token: &str) -> Option<Self> {
        let bytes: [u8; 25] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (tag, rest) = bytes.split_first()?;
        let (time, id) = rest.split_first_chunk::<8>()?;
        if *tag != list.tag() {
            return None;
        }
        let time = Timestamp::from_microsecond(i64::from_be_bytes(*time)).ok()?;
        Some(Self { time, id: Uuid::from_slice(id).ok()? })
    }
}

/// Part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many items at most.
    pub size: i64,
    /// Behind which item; from the start where absent.
    pub after: Option<Cursor>,
}

impl Page {
    /// Reads a page's size.
    ///
    /// # Errors
    /// Where it is not 0 (which stands for 50) to 1,000.
    pub fn size(size: i32) -> Result<i64, Problem> {
        match size {
            0 => Ok(i64::from(DEFAULT_SIZE)),
            1..=LARGEST => Ok(i64::from(size)),
            _ => Err(Problem::out_of_range("must be 1 to 1,000")),
        }
    }

    /// Reads a page's token.
    ///
    /// # Errors
    /// Where it is none of this list's.
    pub fn after(list: List, token: &str) -> Result<Option<Cursor>, Problem> {
        if token.is_empty() {
            return Ok(None);
        }
        Cursor::parse(list, token)
            .map(Some)
            .ok_or(Problem::malformed("must be the next_page_token of the page before"))
    }

    /// The token of the next page, of one item more than asked for: that one is left out.
    pub fn next<T>(&self, list: List, items: &mut Vec<T>, cursor: impl Fn(&T) -> Cursor) -> String {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if items.len() <= size {
            return String::new();
        }
        items.truncate(size);
        items.last().map(|item| cursor(item).token(list)).unwrap_or_default()
    }
}
