//! The colours of each theme, and what is left of them in 256 and in 16.
//!
//! They are after the palette of Okabe and Ito: sky blue, bluish green, orange, vermilion, reddish purple keep apart for every
//! kind of colour blindness. No meaning hangs on a colour alone: a word or a pattern goes with it.

use ratatui::style::Color;

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// The terminal's own 16.
    #[default]
    Sixteen,
    /// 256: a cube of 6x6x6 and 24 greys.
    Indexed,
    /// 16 million.
    True,
}

/// A colour: red, green, blue; and which of the 16 stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ink {
    pub(super) rgb: (u8, u8, u8),
    pub(super) ansi: Color,
}

const fn ink(rgb: u32, ansi: Color) -> Ink {
    Ink { rgb: ((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8), ansi }
}

impl Ink {
    /// As the terminal can show it.
    pub(super) fn color(self, depth: Depth) -> Color {
        match depth {
            Depth::Sixteen => self.ansi,
            Depth::Indexed => Color::Indexed(nearest_of_256(self.rgb)),
            Depth::True => Color::Rgb(self.rgb.0, self.rgb.1, self.rgb.2),
        }
    }

    /// The same, with another of the 16.
    pub(super) fn with_ansi(self, other: Ink) -> Ink {
        Ink { ansi: other.ansi, ..self }
    }

    /// The colour so far on the way to another, 0 to 1; of the 16 there is nothing in between.
    pub(super) fn towards(self, other: Ink, share: f64) -> Ink {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let between = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
        let (a, b) = (self.rgb, other.rgb);
        Ink {
            rgb: (between(a.0, b.0), between(a.1, b.1), between(a.2, b.2)),
            ansi: if share < 0.5 { self.ansi } else { other.ansi },
        }
    }
}

/// What a theme paints with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inks {
    /// What the terminal is taken to have behind it.
    pub(super) ground: Ink,
    /// Numbers and words; `None` is the terminal's own.
    pub(super) text: Option<Ink>,
    /// Captions.
    pub(super) dim: Ink,
    /// Names of panels, keys.
    pub(super) accent: Ink,
    pub(super) first: Ink,
    pub(super) second: Ink,
    pub(super) third: Ink,
    pub(super) ok: Ink,
    pub(super) warn: Ink,
    pub(super) critical: Ink,
    /// Words on a coloured ground, and the grounds: calm, waiting, alarm.
    pub(super) on_calm: Ink,
    pub(super) calm: Ink,
    pub(super) on_warning: Ink,
    pub(super) warning: Ink,
    pub(super) on_alarm: Ink,
    pub(super) alarm: Ink,
}

const BLACK: Ink = ink(0x00_00_00, Color::Black);
const WHITE: Ink = ink(0xff_ff_ff, Color::White);

/// For a dark background.
pub(super) const DARK: Inks = Inks {
    ground: ink(0x1a_1b_1e, Color::Black),
    text: None,
    dim: ink(0x8b_94_a3, Color::Gray),
    accent: ink(0x56_b4_e9, Color::Cyan),
    first: ink(0x56_b4_e9, Color::Cyan),
    second: ink(0xe0_94_c0, Color::Magenta),
    third: ink(0x2f_bf_93, Color::Green),
    ok: ink(0x2f_bf_93, Color::Green),
    warn: ink(0xf0_b4_29, Color::Yellow),
    critical: ink(0xff_6b_4a, Color::Red),
    on_calm: BLACK,
    calm: ink(0x56_b4_e9, Color::Cyan),
    on_warning: BLACK,
    warning: ink(0xf0_b4_29, Color::Yellow),
    // Bright white where there is one: plain white is grey in most palettes.
    on_alarm: WHITE,
    alarm: ink(0xc0_2a_1c, Color::Red),
};

/// For a light background.
pub(super) const LIGHT: Inks = Inks {
    ground: ink(0xfa_fa_fa, Color::White),
    dim: ink(0x5c_64_70, Color::DarkGray),
    accent: ink(0x00_5a_a0, Color::Blue),
    first: ink(0x00_69_b0, Color::Blue),
    second: ink(0xb0_40_8a, Color::Magenta),
    third: ink(0x4d_7c_0f, Color::Green),
    ok: ink(0x00_75_59, Color::Green),
    warn: ink(0xb8_7a_00, Color::Yellow),
    critical: ink(0xa8_20_0a, Color::Red),
    ..DARK
};

/// White on black, whatever the terminal has, at seven to one and more.
pub(super) const CONTRAST: Inks = Inks {
    ground: BLACK,
    text: Some(WHITE),
    dim: ink(0xd0_d0_d0, Color::Gray),
    accent: ink(0x6f_e3_ff, Color::LightCyan),
    first: ink(0x6f_e3_ff, Color::LightCyan),
    second: ink(0xff_b0_00, Color::LightMagenta),
    third: ink(0x8c_ff_9e, Color::LightGreen),
    ok: ink(0x8c_ff_9e, Color::LightGreen),
    warn: ink(0xff_e1_00, Color::LightYellow),
    critical: ink(0xff_7f_66, Color::LightRed),
    on_calm: BLACK,
    calm: ink(0x6f_e3_ff, Color::LightCyan),
    on_warning: BLACK,
    warning: ink(0xff_e1_00, Color::LightYellow),
    on_alarm: WHITE,
    alarm: ink(0xa0_00_00, Color::Red),
};

/// The nearest of the cube and the greys.
fn nearest_of_256((r, g, b): (u8, u8, u8)) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let far = |a: (u8, u8, u8)| {
        let d = |x: u8, y: u8| i32::from(x.abs_diff(y)).pow(2);
        d(a.0, r) + d(a.1, g) + d(a.2, b)
    };
    let step = |value: u8| (0..6u8).min_by_key(|i| STEPS[usize::from(*i)].abs_diff(value)).unwrap_or(0);
    let cube = (step(r), step(g), step(b));
    let of_cube = (STEPS[usize::from(cube.0)], STEPS[usize::from(cube.1)], STEPS[usize::from(cube.2)]);
    let grey = (0..24u8).min_by_key(|i| far((8 + 10 * i, 8 + 10 * i, 8 + 10 * i))).unwrap_or(0);
    let of_grey = 8 + 10 * grey;
    if far(of_cube) <= far((of_grey, of_grey, of_grey)) { 16 + 36 * cube.0 + 6 * cube.1 + cube.2 } else { 232 + grey }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linear light of a channel.
    fn linear(channel: u8) -> f64 {
        let c = f64::from(channel) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    }

    /// Contrast as WCAG 2 has it, 1 to 21.
    fn contrast(a: Ink, b: Ink) -> f64 {
        let light = |i: Ink| 0.2126 * linear(i.rgb.0) + 0.7152 * linear(i.rgb.1) + 0.0722 * linear(i.rgb.2);
        let (a, b) = (light(a), light(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_colour_reads_on_its_ground() {
        for (name, inks, least) in [("dark", DARK, 4.5), ("light", LIGHT, 4.5), ("contrast", CONTRAST, 7.0)] {
            for (role, ink) in [
                ("dim", inks.dim),
                ("accent", inks.accent),
                ("first", inks.first),
                ("second", inks.second),
                ("third", inks.third),
                ("ok", inks.ok),
                ("warn", inks.warn),
                ("critical", inks.critical),
            ] {
                // Bars of a warning may be paler than words: nothing is read in them.
                let least = if (name, role) == ("light", "warn") { 3.0 } else { least };
                let got = contrast(ink, inks.ground);
                assert!(got >= least, "{name} {role}: {got:.2}");
            }
            for (role, front, back) in [
                ("calm", inks.on_calm, inks.calm),
                ("warning", inks.on_warning, inks.warning),
                ("alarm", inks.on_alarm, inks.alarm),
            ] {
                let got = contrast(front, back);
                assert!(got >= least, "{name} {role}: {got:.2}");
            }
        }
    }

    /// What somebody without red or without green cones sees of a colour (Viénot, Brettel and Mollon 1999), linear light.
    fn seen(ink: Ink, without_red: bool) -> [f64; 3] {
        let (r, g, b) = (linear(ink.rgb.0), linear(ink.rgb.1), linear(ink.rgb.2));
        if without_red {
            let mix = 0.112_38 * r + 0.887_62 * g;
            [mix, mix, 0.004_01 * r - 0.004_01 * g + b]
        } else {
            let mix = 0.292_75 * r + 0.707_25 * g;
            [mix, mix, -0.022_34 * r + 0.022_34 * g + b]
        }
    }

    #[test]
    fn states_and_curves_keep_apart_for_the_colour_blind() {
        for (name, inks) in [("dark", DARK), ("light", LIGHT), ("contrast", CONTRAST)] {
            for set in [vec![inks.ok, inks.warn, inks.critical], vec![inks.first, inks.second, inks.third]] {
                for without_red in [true, false] {
                    for (i, a) in set.iter().enumerate() {
                        for b in &set[i + 1..] {
                            let (a, b) = (seen(*a, without_red), seen(*b, without_red));
                            let apart =
                                (0..3).map(|i| (a[i].max(0.0).cbrt() - b[i].max(0.0).cbrt()).powi(2)).sum::<f64>();
                            assert!(apart.sqrt() > 0.08, "{name} {without_red}: {:.3} {a:?} {b:?}", apart.sqrt());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn fewer_colours_take_the_nearest() {
        for (rgb, want) in [((0, 0, 0), 16), ((255, 255, 255), 231), ((128, 128, 128), 244), ((0x56, 0xb4, 0xe9), 74)] {
            assert_eq!(nearest_of_256(rgb), want, "{rgb:?}");
        }
        assert_eq!(DARK.warn.color(Depth::Sixteen), Color::Yellow);
        assert_eq!(DARK.warn.color(Depth::True), Color::Rgb(0xf0, 0xb4, 0x29));
    }

    #[test]
    fn a_gradient_begins_and_ends_where_it_says() {
        for (share, want) in
            [(-1.0, DARK.ok.rgb), (0.0, DARK.ok.rgb), (1.0, DARK.critical.rgb), (9.0, DARK.critical.rgb)]
        {
            assert_eq!(DARK.ok.towards(DARK.critical, share).rgb, want);
        }
        assert_eq!(DARK.ok.towards(DARK.critical, f64::NAN).rgb, DARK.ok.rgb);
        assert_eq!(BLACK.towards(WHITE, 0.5).rgb, (128, 128, 128));
    }
}
