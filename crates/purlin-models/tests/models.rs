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
    run_lock {
        calls_in_place_exclude_each_other
        reads_run_beside_each_other_and_never_beside_a_call
        the_last_reader_out_sees_to_a_message
        the_last_reader_out_and_a_late_poster_schedule_once
        a_reader_never_sees_the_state_before_its_own_message
        a_caller_that_leaves_sees_to_a_message
        a_call_never_overtakes_its_callers_messages
        a_call_never_overtakes_messages_that_were_taken
        a_handler_left_suspended_by_its_caller_is_finished
        a_stop_marked_in_place_ends_the_server_once
    }
    seats {
        a_reader_in_a_seat_and_an_activation_exclude_each_other
        a_reader_in_a_seat_and_a_call_in_place_exclude_each_other
        readers_in_two_seats_see_whole_states
        a_process_unbiased_by_one_call_is_safe_for_the_next
        a_reader_that_biases_a_process_loses_no_message
        a_call_that_gives_way_to_a_reader_sees_to_a_message
        a_process_ends_after_its_readers
    }
    mailbox {
        messages_are_handled_once_in_their_senders_order
        a_server_that_gives_way_loses_nothing
        a_signal_keeps_its_place_among_messages
        a_signal_reaches_a_suspended_server
        messages_taken_by_a_suspended_server_come_before_a_later_call
        every_wake_up_is_seen
        a_wake_up_beside_a_message_is_seen
        a_raw_process_is_woken_by_everything
        a_sender_that_waits_for_room_gets_it
        two_senders_that_wait_for_room_get_it
        a_sender_that_waits_for_room_learns_of_the_end
        an_evicted_message_comes_back_once
    }
    end {
        a_killed_server_handles_or_drops_every_message
        a_kill_waits_for_those_inside
        a_kill_beside_a_stop_ends_the_server_once
        a_late_wake_up_does_not_wake_the_dead
        of_several_exits_one_counts
        no_handler_runs_once_the_kill_is_seen
    }
    links {
        a_link_made_beside_an_end_is_refused_or_signalled
        two_processes_that_link_each_other_are_linked_once
        two_processes_that_link_each_other_while_one_ends_agree
        unlinking_beside_linking_leaves_no_half_link
        a_new_link_beside_the_others_unlink_leaves_no_half_link
        after_unlink_no_exit_arrives
        a_link_made_anew_beside_an_end_is_refused_or_signalled_once
        linked_processes_may_end_at_the_same_moment
        every_monitor_of_a_process_that_ends_fires_once
        after_demonitor_no_down_arrives
        a_watcher_that_ends_is_forgotten
        who_waits_for_an_end_from_outside_is_told_once
        after_unalias_nothing_arrives
        an_alias_for_one_reply_lets_one_through
    }
    cycle {
        one_of_two_that_call_each_other_sees_it
        one_of_three_in_a_ring_sees_it
        a_ring_through_a_call_in_place_is_seen
        a_line_of_callers_is_no_cycle
        an_answered_caller_is_no_part_of_a_cycle
        edges_of_different_moments_make_no_cycle
        the_edge_of_a_finished_call_in_place_makes_no_cycle
    }
    idle {
        an_executor_that_falls_asleep_misses_nothing
        two_pushes_wake_an_executor
        pushes_beside_two_that_fall_asleep_are_seen
        an_idle_executor_is_woken_for_anothers_surplus
    }
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
