//! What a pet may be up to, and what that does to its body and its way.
//!
//! Invariant: an interpreter is held against [`Label`]s; the finer [`Doing`]s are there to be mistaken for one another.

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    /// Asleep, with the twitches and turns of sleep.
    Asleep,
    /// Lying awake or dozing.
    Lying,
    /// Still, ears up: something is heard or seen.
    Watching,
    /// Somebody comes: up and down, heart racing, at home.
    Excited,
    /// About the house: a few steps, a pause.
    About,
    /// At the bowl.
    Eating,
    /// A walk, alone or with people.
    Walking,
    /// A slow one, from scent to scent.
    Strolling,
    /// A steady run, beside a bicycle or a jogger.
    Running,
    /// Wild play without a ball: chases and pauses.
    Romping,
    /// A ball is thrown, brought back, and thrown again.
    Fetching,
    /// To and fro, uneasy.
    Pacing,
    /// The collar is not on the pet.
    OffCollar,
}

/// What an interpreter should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// A bout of sleep: an owner's word, so its dreams and turns are part of it.
    DeepSleep,
    /// Lying awake or dozing.
    Resting,
    /// Moving at a walk, also about the house.
    Walking,
    /// Moving faster.
    Running,
    /// Fetch.
    PlayingFetch,
    /// Pacing.
    AnxiousPacing,
    /// Eating and drinking.
    Eating,
    /// Aroused: watching, or excited.
    Alert,
    /// Nothing can be known: the collar is not on the pet.
    OffCollar,
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DeepSleep,
        Self::Resting,
        Self::Walking,
        Self::Running,
        Self::PlayingFetch,
        Self::AnxiousPacing,
        Self::Eating,
        Self::Alert,
        Self::OffCollar,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeepSleep => "Deep Sleep",
            Self::Resting => "Resting",
            Self::Walking => "Walking",
            Self::Running => "Running",
            Self::PlayingFetch => "Playing Fetch",
            Self::AnxiousPacing => "Anxious Pacing",
            Self::Eating => "Eating",
            Self::Alert => "Alert",
            Self::OffCollar => "Off collar",
        }
    }
}

/// What a doing does to a body: means about which [`crate::life`] varies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kinetics {
    /// How vigorously it moves while it moves: dynamic acceleration, 0 still to 1 the gallop.
    pub(crate) effort: f64,
    /// The same during the pauses between.
    pub(crate) pause_effort: f64,
    /// Mean seconds of moving before a pause.
    pub(crate) moving_s: f64,
    /// Mean seconds of a pause; 0 for none.
    pub(crate) pause_s: f64,
    /// What the mind adds to the heart rate, as a share of the resting one.
    pub(crate) arousal: f64,
    /// Speed while it moves, as a factor of the pet's walking pace.
    pub(crate) pace: f64,
    /// SD of the means of 30 s of its heart rate, bpm, for a typical dog.
    pub(crate) sd_bpm: f64,
}

impl Doing {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Asleep,
        Self::Lying,
        Self::Watching,
        Self::Excited,
        Self::About,
        Self::Eating,
        Self::Walking,
        Self::Strolling,
        Self::Running,
        Self::Romping,
        Self::Fetching,
        Self::Pacing,
        Self::OffCollar,
    ];

    /// What an interpreter should say.
    #[must_use]
    pub const fn label(self) -> Label {
        match self {
            Self::Asleep => Label::DeepSleep,
            Self::Lying => Label::Resting,
            Self::Watching | Self::Excited => Label::Alert,
            Self::About | Self::Walking | Self::Strolling => Label::Walking,
            Self::Eating => Label::Eating,
            Self::Running | Self::Romping => Label::Running,
            Self::Fetching => Label::PlayingFetch,
            Self::Pacing => Label::AnxiousPacing,
            Self::OffCollar => Label::OffCollar,
        }
    }

    /// Whether it happens away from home.
    #[must_use]
    pub const fn outdoors(self) -> bool {
        match self {
            Self::Walking | Self::Strolling | Self::Running | Self::Romping | Self::Fetching => true,
            Self::Asleep
            | Self::Lying
            | Self::Watching
            | Self::Excited
            | Self::About
            | Self::Eating
            | Self::Pacing
            | Self::OffCollar => false,
        }
    }

    /// The body's part. Spreads of the heart rate: Jarkoff 2023 (3.5 bpm under 65, 8.7 from 80 on, 4.4 over all); efforts, pauses
    /// and paces: textbook gaits and plain guesses (~): walk 1.2 m/s, trot 2.5 to 4, gallop from 5 on.
    pub(crate) const fn kinetics(self) -> Kinetics {
        const STILL: Kinetics = Kinetics {
            effort: 0.01,
            pause_effort: 0.01,
            moving_s: 60.0,
            pause_s: 0.0,
            arousal: 0.0,
            pace: 0.0,
            sd_bpm: 3.5,
        };
        match self {
            // A turn or a twitch, seconds, every seven minutes or so.
            Self::Asleep => Kinetics { effort: 0.2, moving_s: 3.0, pause_s: 400.0, ..STILL },
            // A turn of the head, a scratch, another place: seconds, every few minutes.
            Self::Lying => Kinetics {
                effort: 0.22,
                pause_effort: 0.025,
                moving_s: 5.0,
                pause_s: 150.0,
                sd_bpm: 4.4,
                ..STILL
            },
            Self::Watching => Kinetics {
                effort: 0.18,
                pause_effort: 0.05,
                moving_s: 5.0,
                pause_s: 30.0,
                arousal: 0.35,
                sd_bpm: 8.7,
                ..STILL
            },
            Self::Excited => Kinetics {
                effort: 0.5,
                pause_effort: 0.15,
                moving_s: 12.0,
                pause_s: 10.0,
                arousal: 0.6,
                pace: 1.2,
                sd_bpm: 8.7,
            },
            Self::About => Kinetics {
                effort: 0.27,
                pause_effort: 0.06,
                moving_s: 15.0,
                pause_s: 14.0,
                arousal: 0.05,
                pace: 0.6,
                sd_bpm: 8.7,
            },
            Self::Eating => Kinetics {
                effort: 0.2,
                pause_effort: 0.12,
                moving_s: 40.0,
                pause_s: 8.0,
                arousal: 0.2,
                pace: 0.0,
                sd_bpm: 8.7,
            },
            Self::Walking => Kinetics {
                effort: 0.34,
                pause_effort: 0.1,
                moving_s: 60.0,
                pause_s: 10.0,
                arousal: 0.1,
                pace: 1.0,
                sd_bpm: 8.7,
            },
            Self::Strolling => Kinetics {
                effort: 0.26,
                pause_effort: 0.1,
                moving_s: 18.0,
                pause_s: 16.0,
                arousal: 0.1,
                pace: 0.55,
                sd_bpm: 8.7,
            },
            Self::Running => Kinetics {
                effort: 0.74,
                pause_effort: 0.2,
                moving_s: 240.0,
                pause_s: 15.0,
                arousal: 0.1,
                pace: 3.0,
                sd_bpm: 8.7,
            },
            Self::Romping => Kinetics {
                effort: 0.78,
                pause_effort: 0.22,
                moving_s: 14.0,
                pause_s: 12.0,
                arousal: 0.3,
                pace: 3.2,
                sd_bpm: 8.7,
            },
            // Its phases are the path's.
            Self::Fetching => Kinetics { arousal: 0.3, sd_bpm: 8.7, ..STILL },
            Self::Pacing => Kinetics {
                effort: 0.31,
                pause_effort: 0.1,
                moving_s: 90.0,
                pause_s: 6.0,
                arousal: 0.35,
                pace: 0.85,
                sd_bpm: 8.7,
            },
            Self::OffCollar => STILL,
        }
    }
}
