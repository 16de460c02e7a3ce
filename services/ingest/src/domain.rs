//! What a reading is, whose it is, and how much of it who may see. Pure: no clock, no store, no wire.

pub mod reading;
pub mod shares;
pub mod stamp;
pub mod view;
