//! A walk over a decoded request, for what no field may hold whatever its meaning.
//!
//! Invariant: no NaN, no infinity and no U+0000 passes the gateway. JSON has no such numbers (but proto3 JSON spells them
//! as strings, and parsers read `1e999` in a string as infinity), and Postgres stores no such text.

use std::collections::HashMap;

use petty_proto::wkt::{
    BoolValue, BytesValue, DoubleValue, Duration, Empty, FieldMask, FloatValue, Int32Value, Int64Value,
    ListValue, StringValue, Struct, Timestamp, UInt32Value, UInt64Value, Value,
};

use crate::problem::{FieldFault, MOST_FAULTS};

/// What can be walked. Implemented for messages by the generated code.
pub(crate) trait Sound {
    /// Tells the walk of everything that may not be.
    fn check(&self, walk: &mut Walk);
}

/// The faults found, and where the walk is.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    path: Vec<Step>,
    faults: Vec<FieldFault>,
}

#[derive(Debug)]
enum Step {
    Field(&'static str),
    Index(usize),
    Key(String),
}

impl Walk {
    /// The faults of a message.
    pub(crate) fn faults_of(message: &impl Sound) -> Vec<FieldFault> {
        let mut walk = Self::default();
        message.check(&mut walk);
        walk.faults
    }

    /// Walks into a field.
    pub(crate) fn field(&mut self, name: &'static str, value: &impl Sound) {
        self.path.push(Step::Field(name));
        value.check(self);
        self.path.pop();
    }

    fn fault(&mut self, reason: &'static str) {
        if self.faults.len() >= MOST_FAULTS {
            return;
        }
        let mut field = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) if field.is_empty() => field.push_str(name),
                Step::Field(name) => {
                    field.push('.');
                    field.push_str(name);
                }
                Step::Index(index) => field.push_str(&format!("[{index}]")),
                Step::Key(key) => {
                    field.push('.');
                    field.push_str(key);
                }
            }
        }
        self.faults.push(FieldFault::new(field, reason));
    }
}

impl Sound for String {
    fn check(&self, walk: &mut Walk) {
        if self.as_bytes().contains(&0) {
            walk.fault("must not hold the character U+0000");
        }
    }
}

impl Sound for f64 {
    fn check(&self, walk: &mut Walk) {
        if !self.is_finite() {
            walk.fault("must be a finite number");
        }
    }
}

impl Sound for f32 {
    fn check(&self, walk: &mut Walk) {
        f64::from(*self).check(walk);
    }
}

macro_rules! any_json {
    ($($kind:ty),*) => {
        $(impl Sound for $kind {
            fn check(&self, walk: &mut Walk) {
                if self.any_text(&mut |text| text.as_bytes().contains(&0)) {
                    walk.fault("must not hold the character U+0000");
                }
            }
        })*
    };
}

any_json!(Value, Struct, ListValue);

macro_rules! wrapped {
    ($($kind:ty),*) => {
        $(impl Sound for $kind {
            fn check(&self, walk: &mut Walk) {
                self.value.check(walk);
            }
        })*
    };
}

wrapped!(StringValue, DoubleValue, FloatValue);

impl<T: Sound> Sound for Box<T> {
    fn check(&self, walk: &mut Walk) {
        (**self).check(walk);
    }
}

impl<T: Sound> Sound for HashMap<String, T> {
    fn check(&self, walk: &mut Walk) {
        for (key, value) in self {
            key.check(walk);
            walk.path.push(Step::Key(key.replace('\0', "")));
            value.check(walk);
            walk.path.pop();
        }
    }
}

impl<T: Sound> Sound for Option<T> {
    fn check(&self, walk: &mut Walk) {
        if let Some(value) = self {
            value.check(walk);
        }
    }
}

impl<T: Sound> Sound for Vec<T> {
    fn check(&self, walk: &mut Walk) {
        for (index, value) in self.iter().enumerate() {
            walk.path.push(Step::Index(index));
            value.check(walk);
            walk.path.pop();
        }
    }
}

macro_rules! always_sound {
    ($($kind:ty),*) => {
        $(impl Sound for $kind {
            fn check(&self, _: &mut Walk) {}
        })*
    };
}

always_sound!(
    bool,
    i32,
    u32,
    i64,
    u64,
    Timestamp,
    Duration,
    FieldMask,
    Empty,
    BoolValue,
    BytesValue,
    Int32Value,
    Int64Value,
    UInt32Value,
    UInt64Value
);
