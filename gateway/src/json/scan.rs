//! One pass over the bytes before anything is parsed: how deep they nest, how much is in them, and whether there is a `null`.

/// The deepest that a body may nest.
const MOST_LEVELS: u32 = 32;

/// What the pass saw.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Whether it nests deeper than may be.
    pub(super) too_deep: bool,
    /// Whether there is an `n` outside of strings: in JSON, only `null` has one there.
    pub(super) has_null: bool,
    /// How many objects and arrays there are.
    pub(super) objects: usize,
    /// How many commas there are between values.
    pub(super) commas: usize,
}

/// Scans; on what is not JSON at all the answer means nothing, and the parser says so later.
pub(super) fn scan(body: &[u8]) -> Scan {
    let mut seen = Scan { too_deep: false, has_null: false, objects: 0, commas: 0 };
    let mut levels = 0_u32;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'[' | b'{' => {
                seen.objects += 1;
                levels += 1;
                if levels > MOST_LEVELS {
                    seen.too_deep = true;
                    return seen;
                }
            }
            b']' | b'}' => levels = levels.saturating_sub(1),
            b',' => seen.commas += 1,
            b'n' => seen.has_null = true,
            _ => {}
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_count_outside_of_strings_only() {
        for (body, too_deep) in [
            ("[".repeat(32), false),
            ("[".repeat(33), true),
            ("{\"a\":".repeat(33), true),
            (format!("[\"{}\"]", "[".repeat(100)), false),
            (format!("[\"\\\"{}\"]", "[".repeat(100)), false),
            ("[[]],".repeat(100), false),
        ] {
            assert_eq!(scan(body.as_bytes()).too_deep, too_deep, "{body}");
        }
    }

    #[test]
    fn objects_arrays_and_commas_are_counted_outside_of_strings_only() {
        for (body, objects, commas) in [
            ("7", 0, 0),
            ("{\"a\":[],\"b\":{},\"c\":[1,2,3]}", 4, 4),
            ("{\"a,[{\":\"\\\",[{\"}", 1, 0),
            ("[{},{},{}]", 4, 2),
        ] {
            let seen = scan(body.as_bytes());
            assert_eq!((seen.objects, seen.commas), (objects, commas), "{body}");
        }
    }

    #[test]
    fn nulls_are_seen_outside_of_strings_only() {
        for (body, has_null) in
            [("{\"a\":null}", true), ("{\"null\":\"null\"}", false), ("[true,false,1e9]", false)]
        {
            assert_eq!(scan(body.as_bytes()).has_null, has_null, "{body}");
        }
    }
}
