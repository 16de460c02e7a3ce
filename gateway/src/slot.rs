//! Where a part of a path goes: a field of the request.
//!
//! Invariant: a field that the body or the query states too is stated alike.

/// A field that a path may state.
pub(crate) trait Slot {
    /// States it.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    fn state(&mut self, text: &str) -> Result<(), &'static str>;
}

const OTHER: &str = "is another than in the path";

impl Slot for String {
    fn state(&mut self, text: &str) -> Result<(), &'static str> {
        if text.contains('\0') {
            return Err("must not hold the character U+0000");
        }
        if !self.is_empty() && self != text {
            return Err(OTHER);
        }
        text.clone_into(self);
        Ok(())
    }
}

macro_rules! parsed {
    ($($kind:ty: $reason:literal),*) => {
        $(impl Slot for $kind {
            fn state(&mut self, text: &str) -> Result<(), &'static str> {
                // Rust reads a plus too.
                let value = text.parse::<$kind>().ok().filter(|_| !text.starts_with('+')).ok_or($reason)?;
                replace(self, value)
            }
        })*
    };
}

parsed!(
    bool: "must be true or false",
    i32: "must be a whole number from -2147483648 to 2147483647",
    u32: "must be a whole number from 0 to 4294967295",
    i64: "must be a whole number of 64 bits",
    u64: "must be a whole number of 64 bits"
);

impl<T: Slot + Default + PartialEq> Slot for Option<T> {
    fn state(&mut self, text: &str) -> Result<(), &'static str> {
        let mut value = T::default();
        value.state(text)?;
        match self {
            Some(given) if *given != value => Err(OTHER),
            _ => {
                *self = Some(value);
                Ok(())
            }
        }
    }
}

/// An enum's value, by name or number.
#[cfg_attr(not(test), expect(dead_code, reason = "no path of ours states one yet"))]
pub(crate) struct Choice<'a>(pub(crate) &'a mut i32, pub(crate) &'static [(&'static str, i32)]);

impl Slot for Choice<'_> {
    fn state(&mut self, text: &str) -> Result<(), &'static str> {
        let number = text.parse::<i32>().ok();
        let found = self.1.iter().find(|(name, value)| *name == text || Some(*value) == number);
        let (_, value) = found.ok_or("is none of its values")?;
        replace(self.0, *value)
    }
}

fn replace<T: PartialEq + Default>(field: &mut T, value: T) -> Result<(), &'static str> {
    if *field != T::default() && *field != value {
        return Err(OTHER);
    }
    *field = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_states_is_read_by_the_fields_type() {
        let mut text = String::new();
        assert_eq!(text.state("a"), Ok(()));
        assert_eq!((text.state("a"), text.state("b"), text.as_str()), (Ok(()), Err(OTHER), "a"));
        let mut number = 0_i32;
        for bad in ["", "x", "1.0", "+1", "2147483648", " 1"] {
            assert!(number.state(bad).is_err(), "{bad}");
        }
        assert_eq!((number.state("-7"), number), (Ok(()), -7));
        assert_eq!(number.state("8"), Err(OTHER));
        let mut maybe = Some(0_i64);
        assert_eq!(maybe.state("5"), Err(OTHER), "a zero that was said is said");
        assert_eq!((maybe.state("0"), maybe), (Ok(()), Some(0)));
        let mut choice = 0;
        let values = &[("NONE", 0), ("RED", 1), ("BLUE", 2)];
        assert_eq!(Choice(&mut choice, values).state("BLUE"), Ok(()));
        assert_eq!(Choice(&mut choice, values).state("2"), Ok(()));
        assert!(Choice(&mut choice, values).state("1").is_err());
        assert!(Choice(&mut choice, values).state("red").is_err());
        assert_eq!(choice, 2);
    }
}
