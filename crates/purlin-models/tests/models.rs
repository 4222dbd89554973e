//! Proves that the kernel's lock-free protocols hold under every interleaving: one test per model of `src/models`.

macro_rules! models {
    ($($what:ident { $($model:ident)* })*) => {
        $(mod $what {
            $(#[test]
            fn $model() {
                purlin_models::models::$what::$model();
            })*
        })*

        const LISTED: &[(&str, &str, &[&str])] = &[
            $((stringify!($what), include_str!(concat!("../src/models/", stringify!($what), ".rs")), &[$(stringify!($model)),*])),*
        ];
    };
}

models! {
    slot {
        a_value_sent_while_the_waiter_polls_arrives
        a_boxed_value_sent_while_the_waiter_polls_arrives
        a_value_is_seen_without_a_wake_up
        a_value_sent_while_the_waker_changes_arrives
        a_dropped_replier_ends_the_wait_while_the_waker_changes
        a_value_is_dropped_once_when_the_waiter_gives_up
        a_value_is_dropped_once_when_the_polled_waiter_gives_up
        a_boxed_value_is_dropped_once_when_the_polled_waiter_gives_up
        the_slot_is_freed_once_when_both_sides_give_up
        a_waiter_may_move_to_another_thread
    }
    ring {
        every_pointer_goes_to_one_of_three_consumers
        a_slow_consumer_is_not_fooled_by_a_wrapped_ring
        stealing_beside_the_owner_loses_and_doubles_nothing
        stolen_pointers_may_be_stolen_again
        two_thieves_share_without_overlap
    }
    table {
        a_process_becomes_visible_all_at_once
        a_stale_pid_never_finds_the_slots_next_process
        a_process_seen_under_the_lock_is_alive
        a_process_found_gone_has_left_everything_in_order
        a_process_is_removed_by_one_of_two
        inserting_and_removing_on_two_threads_gives_out_no_pid_twice
        a_listing_beside_changes_is_in_order_and_names_no_stranger
    }
}

#[test]
fn every_model_is_listed() {
    for (what, source, listed) in LISTED {
        let models: Vec<_> = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub fn "))
            .filter_map(|line| line.split('(').next())
            .collect();
        assert_eq!(models, *listed, "models/{what}.rs and the list differ");
    }
}
