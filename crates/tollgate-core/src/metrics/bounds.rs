//! The bounds of histograms: those of OpenTelemetry's conventions for generative AI, and of vLLM.

/// Upper bounds of a histogram, in some unit in which they are whole numbers. Above the last one lies a last
/// bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Rising.
    pub upper: &'static [u64],
    /// The same, as Prometheus spells them where it makes one series of both formats: `1.0`.
    pub texts: &'static [&'static str],
    /// How many of the unit are one of what is shown: 1,000 where milliseconds are shown as seconds.
    pub scale: u64,
}

/// `gen_ai.server.request.duration`: milliseconds.
pub const DURATION: Bounds = Bounds {
    upper: &[10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 20_480, 40_960, 81_920],
    texts: &[
        "0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64", "1.28", "2.56", "5.12", "10.24",
        "20.48", "40.96", "81.92",
    ],
    scale: 1000,
};
/// `gen_ai.server.time_to_first_token`: milliseconds.
pub const FIRST_TOKEN: Bounds = Bounds {
    upper: &[1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000],
    texts: &[
        "0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75",
        "1.0", "2.5", "5.0", "7.5", "10.0",
    ],
    scale: 1000,
};
/// `gen_ai.server.time_per_output_token`: microseconds.
pub const PER_OUTPUT_TOKEN: Bounds = Bounds {
    upper: &[
        10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000,
        750_000, 1_000_000, 2_500_000,
    ],
    texts: &[
        "0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2", "0.3", "0.4", "0.5", "0.75", "1.0",
        "2.5",
    ],
    scale: 1_000_000,
};
/// An exchange with the store of a cluster: microseconds.
pub const EXCHANGE: Bounds = Bounds {
    upper: &[
        250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    ],
    texts: &[
        "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
        "0.5", "1.0",
    ],
    scale: 1_000_000,
};
/// `gen_ai.client.token.usage`: tokens.
pub const TOKENS: Bounds = Bounds {
    upper: &[
        1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
        67_108_864,
    ],
    texts: &[
        "1.0",
        "4.0",
        "16.0",
        "64.0",
        "256.0",
        "1024.0",
        "4096.0",
        "16384.0",
        "65536.0",
        "262144.0",
        "1.048576e+06",
        "4.194304e+06",
        "1.6777216e+07",
        "6.7108864e+07",
    ],
    scale: 1,
};

impl Bounds {
    /// How many cells the histogram takes: a bucket for each bound, one above them, and the sum.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.upper.len() + 2
    }

    /// Which bucket a value falls into: the first one whose bound is not below it.
    #[inline]
    #[must_use]
    pub fn bucket(&self, value: u64) -> usize {
        self.upper.partition_point(|bound| *bound < value)
    }

    /// Where the sum of all values is.
    #[must_use]
    pub const fn sum(&self) -> usize {
        self.upper.len() + 1
    }
}
