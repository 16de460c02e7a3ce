//! What a reading is, whose it is, how much of it who may see, and whether its collar has stopped. Pure: no clock, no store,
//! no wire.

pub mod reading;
pub mod shares;
pub mod silence;
pub mod stamp;
pub mod view;
