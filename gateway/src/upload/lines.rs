//! Lines out of what arrives, packed or not.
//!
//! Invariant: whatever is fed, no more is unpacked ahead of the lines that were taken than a few hundred kilobytes.

use std::io::Write as _;

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;

use crate::body::too_large_problem;
use crate::problem::Problem;

use super::broken;

/// The longest line.
const LONGEST_LINE: usize = 16 << 10;
/// So many packed bytes are unpacked at once: gzip makes at most about a thousand times as many of them.
const STEP: usize = 256;

/// A line that ended.
pub(super) struct Line {
    /// From 0.
    pub(super) number: usize,
    /// `None`: it is too long.
    pub(super) text: Option<Vec<u8>>,
}

/// What is next of what was fed.
pub(super) enum Next {
    Line(Line),
    /// No line has ended yet; so many bytes more are looked through.
    Bytes(usize),
    /// All was taken.
    Nothing,
}

/// What has arrived and is no line yet.
pub(super) struct Lines {
    /// As it came.
    input: Bytes,
    unpacker: Option<MultiGzDecoder<Vec<u8>>>,
    /// Unpacked; what is before `taken` was taken.
    plain: Vec<u8>,
    taken: usize,
    /// No line ends before here.
    searched: usize,
    /// The line that is being read is too long; the rest of it is thrown away.
    skipping: bool,
    count: usize,
    bytes: usize,
    most_bytes: usize,
}

impl Lines {
    pub(super) fn new(packed: bool, most_bytes: usize) -> Self {
        Self {
            input: Bytes::new(),
            unpacker: packed.then(|| MultiGzDecoder::new(Vec::new())),
            plain: Vec::new(),
            taken: 0,
            searched: 0,
            skipping: false,
            count: 0,
            bytes: 0,
            most_bytes,
        }
    }

    /// What arrived next. All of what came before was taken.
    pub(super) fn feed(&mut self, data: Bytes) {
        self.input = data;
    }

    /// How many lines there were.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The next line, if it has ended; a little is unpacked at once, and no more.
    pub(super) fn next(&mut self) -> Result<Next, Problem> {
        let end = self.plain[self.searched..].iter().position(|byte| *byte == b'\n');
        if let Some(end) = end.map(|end| self.searched + end) {
            let text = self.plain[self.taken..end].to_vec();
            (self.taken, self.searched) = (end + 1, end + 1);
            return Ok(Next::Line(self.ended(text)));
        }
        self.searched = self.plain.len();
        if self.plain.len() - self.taken > LONGEST_LINE {
            self.skipping = true;
            self.taken = self.plain.len();
        }
        if self.input.is_empty() { Ok(Next::Nothing) } else { self.unpack().map(Next::Bytes) }
    }

    /// The lines that are left, the last of which need not end. Nothing more is fed.
    pub(super) fn rest(&mut self) -> Result<Option<Line>, Problem> {
        if let Some(mut unpacker) = self.unpacker.take() {
            // What was cut short says so here.
            unpacker.try_finish().map_err(|_| broken())?;
            let more = std::mem::take(unpacker.get_mut());
            self.add(&more)?;
        }
        if let Next::Line(line) = self.next()? {
            return Ok(Some(line));
        }
        let text = self.plain.split_off(self.taken);
        self.searched = self.taken;
        if text.is_empty() && !self.skipping { Ok(None) } else { Ok(Some(self.ended(text))) }
    }

    fn ended(&mut self, text: Vec<u8>) -> Line {
        let skipped = std::mem::take(&mut self.skipping) || text.len() > LONGEST_LINE;
        let number = self.count;
        self.count += 1;
        Line { number, text: (!skipped).then_some(text) }
    }

    /// Unpacks a little of the input; how many bytes that made.
    fn unpack(&mut self) -> Result<usize, Problem> {
        self.plain.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        let Some(unpacker) = &mut self.unpacker else {
            let step = self.input.split_to(self.input.len().min(LONGEST_LINE));
            return self.add(&step);
        };
        let step = self.input.len().min(STEP);
        let written = unpacker.write(&self.input[..step]).map_err(|_| broken())?;
        if written == 0 {
            // Garbage after the last member.
            return Err(broken());
        }
        self.input.advance(written);
        let more = std::mem::take(unpacker.get_mut());
        self.add(&more)
    }

    fn add(&mut self, more: &[u8]) -> Result<usize, Problem> {
        self.bytes += more.len();
        if self.bytes > self.most_bytes {
            return Err(too_large_problem(self.most_bytes));
        }
        self.plain.extend_from_slice(more);
        Ok(more.len())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// The lines of a body that arrives in pieces of this size. `None`: too long.
    fn lines(body: &[u8], packed: bool, piece: usize) -> Result<Vec<Option<String>>, u16> {
        let mut lines = Lines::new(packed, 1 << 20);
        let mut found = Vec::new();
        let mut note = |line: Line| {
            assert_eq!(line.number, found.len());
            found.push(line.text.map(|text| String::from_utf8(text).unwrap()));
        };
        for piece in body.chunks(piece) {
            lines.feed(Bytes::copy_from_slice(piece));
            loop {
                match lines.next().map_err(|problem| problem.status.as_u16())? {
                    Next::Line(line) => note(line),
                    Next::Bytes(bytes) => assert!(bytes <= 512 << 10, "{bytes} bytes at once"),
                    Next::Nothing => break,
                }
            }
            assert!(lines.plain.len() <= 512 << 10, "{} bytes ahead", lines.plain.len());
        }
        while let Some(line) = lines.rest().map_err(|problem| problem.status.as_u16())? {
            note(line);
        }
        Ok(found)
    }

    #[test]
    fn lines_end_with_a_break_or_with_the_body() {
        for (body, expected) in [
            ("", vec![]),
            ("a", vec!["a"]),
            ("a\n", vec!["a"]),
            ("a\r\nb", vec!["a\r", "b"]),
            ("\n\na\n", vec!["", "", "a"]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|line| Some(line.to_owned())).collect();
            assert_eq!(lines(body.as_bytes(), false, 1).unwrap(), expected, "{body:?}");
            assert_eq!(lines(&gzip(body.as_bytes()), true, 1).unwrap(), expected, "{body:?}");
        }
    }

    #[test]
    fn a_line_is_read_up_to_its_bound_and_no_further() {
        for (length, taken) in [(LONGEST_LINE, true), (LONGEST_LINE + 1, false), (200_000, false)] {
            let body = format!("a\n{}\nb\n{}", "x".repeat(length), "y".repeat(length));
            for (body, packed) in [(body.clone().into_bytes(), false), (gzip(body.as_bytes()), true)] {
                for piece in [7, 4_096, 1 << 20] {
                    let found = lines(&body, packed, piece).unwrap();
                    let found: Vec<bool> = found.iter().map(Option::is_some).collect();
                    assert_eq!(found, [true, taken, true, taken], "{length} {packed} {piece}");
                }
            }
        }
    }

    #[test]
    fn what_unpacks_to_too_much_or_to_nothing_is_refused() {
        let bomb = gzip(&vec![b'\n'; (1 << 20) + 1]);
        assert_eq!(lines(&bomb, true, 64), Err(413));
        assert_eq!(lines(&vec![b'x'; (1 << 20) + 1], false, 1 << 16), Err(413));
        assert_eq!(lines(&gzip(&vec![b'x'; 1 << 20]), true, 64).unwrap(), [None]);
        assert_eq!(lines(b"no gzip at all", true, 5), Err(400));
        let whole = gzip(b"a\nb\n");
        assert_eq!(lines(&whole[..whole.len() - 3], true, 5), Err(400));
        let mut two = whole.clone();
        two.extend(gzip(b"c"));
        assert_eq!(lines(&two, true, 5).unwrap().len(), 3, "members follow each other");
    }

    proptest! {
        #[test]
        fn however_a_body_arrives_its_lines_are_the_same(
            body in "[ab\n]{0,300}", piece in 1_usize..50, packed in any::<bool>(),
        ) {
            let mut expected: Vec<_> = body.split('\n').map(|line| Some(line.to_owned())).collect();
            if expected.last() == Some(&Some(String::new())) {
                expected.pop();
            }
            let sent = if packed { gzip(body.as_bytes()) } else { body.clone().into_bytes() };
            prop_assert_eq!(lines(&sent, packed, piece).unwrap(), expected);
        }
    }
}
