use super::*;

/// Rises above 100, falls below 10; half is forgotten in a second; holds for five, and what was asked is good for twenty.
fn config() -> CongestionConfig {
    CongestionConfig {
        steps: vec![2, 4, 8].try_into().unwrap(),
        rise_at: 100,
        fall_at: 10,
        half_life: Duration::from_secs(1),
        hold: Duration::from_secs(5),
        grace: Duration::from_secs(20),
    }
}

/// A thermostat, and a clock that goes with it.
struct Day {
    thermostat: Thermostat,
    clock: Clock,
}

impl Day {
    fn begin() -> Self {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        Self { thermostat: Thermostat::new(config(), clock.now()), clock }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// So many wait for so many seconds. Returns the prices in the order in which they were asked.
    fn pass(&mut self, seconds: u64, waiting: usize) -> Vec<u32> {
        let mut prices = vec![self.thermostat.times()];
        for _ in 0..seconds * 10 {
            self.clock.set(self.now().saturating_add(TICK));
            self.thermostat.observe(waiting, self.clock.now());
            prices.push(self.thermostat.times());
        }
        prices.dedup();
        prices
    }

    fn asked(&self) -> (u32, u32) {
        let Times { least, most } = self.thermostat.asked(self.now());
        (least, most)
    }
}

#[test]
fn load_raises_the_price_step_by_step_to_the_most_and_quiet_lowers_it() {
    let mut day = Day::begin();
    assert_eq!(day.pass(60, 0), [1]);
    assert_eq!(day.pass(60, 1_000), [1, 2, 4, 8]);
    assert_eq!(day.pass(60, 1_000), [8], "the last step is the most that is ever asked");
    assert_eq!(day.pass(60, 0), [8, 4, 2, 1]);
}

#[test]
fn between_falling_and_rising_the_price_stands_still() {
    let mut day = Day::begin();
    assert_eq!(day.pass(60, 99), [1]);
    assert_eq!(day.pass(1, 1_000), [1, 2]);
    // Before the step has been held for long enough it is between the two again.
    assert_eq!(day.pass(600, 50), [2], "neither up nor down");
}

#[test]
fn moment_of_load_moves_nothing() {
    let mut day = Day::begin();
    day.clock.set(day.now().saturating_add(TICK));
    day.thermostat.observe(1_000, day.now());
    assert_eq!(day.pass(60, 0), [1]);
}

#[test]
fn step_is_held_before_the_next() {
    let mut day = Day::begin();
    assert_eq!(day.pass(1, 1_000), [1, 2]);
    assert_eq!(day.pass(4, 1_000), [2]);
    assert_eq!(day.pass(2, 1_000), [2, 4]);
}

#[test]
fn what_was_asked_is_enough_for_the_grace_it_was_announced_with() {
    let mut day = Day::begin();
    let Announced { times, good_until } = day.thermostat.announced(day.now());
    assert_eq!((times, good_until), (1, day.now().saturating_add(config().grace)));
    assert_eq!(day.pass(6, 1_000), [1, 2, 4]);
    assert_eq!(day.asked(), (1, 4), "who asked before is still served, and who asked since has not paid too much");
    while day.now() < good_until {
        assert_eq!(day.asked().0, 1);
        day.pass(1, 1_000);
    }
    day.pass(20, 1_000);
    assert_eq!(day.asked(), (8, 8));
}

#[test]
fn who_paid_what_was_asked_before_the_price_fell_has_not_paid_too_much() {
    let mut day = Day::begin();
    day.pass(60, 1_000);
    let Announced { times, good_until } = day.thermostat.announced(day.now());
    assert_eq!(times, 8);
    while day.now() < good_until {
        assert_eq!(day.asked().1, 8);
        day.pass(1, 0);
    }
    day.pass(60, 0);
    assert_eq!(day.asked(), (1, 1));
}

#[test]
fn price_without_steps_stands_still() {
    let mut day = Day::begin();
    day.thermostat = Thermostat::new(CongestionConfig { steps: Vec::new().try_into().unwrap(), ..config() }, day.now());
    assert_eq!(day.pass(60, 1_000_000), [1]);
    assert_eq!(day.asked(), (1, 1));
}

#[test]
fn clock_that_is_set_back_does_not_hold_the_price_up() {
    let mut day = Day::begin();
    day.pass(60, 1_000);
    day.clock.set(day.now().saturating_sub(Duration::from_secs(86_400)));
    assert_eq!(day.pass(60, 0), [8, 4, 2, 1]);
}
