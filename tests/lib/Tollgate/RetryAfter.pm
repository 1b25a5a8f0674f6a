package Tollgate::RetryAfter;

# Whether a refusal names the moment from which the same request passes: neither too early nor too
# late, however slow the machine is.

use strict;
use warnings;

use Exporter qw/import/;
use POSIX qw/ceil/;
use Test::More qw//;
use Time::HiRes qw/clock_gettime CLOCK_MONOTONIC sleep/;
use Tollgate qw/header status/;

our @EXPORT = qw/retry_after_is_true RETRY_AFTER_TESTS/;

# So many tests are made.
use constant RETRY_AFTER_TESTS => 3;

# $spend uses the limit up, and $ask sends the request that is refused then.
#
# A refusal is made at some moment between the sending of the request and the arrival of the answer,
# so it promises a moment between those two plus retry-after-ms (rounded up to the millisecond). What
# is answered before 95% of the wait from the earlier one must be refused; what is sent after all of
# the wait from the later one must pass. Answers that straddle the 95% tell nothing: then the
# machine was busy, and we go again.
sub retry_after_is_true {
	my ($name, $spend, $ask) = @_;
	my $builder = Test::More->builder;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	for my $round (1 .. 10) {
		$spend->();
		my $sent = _now();
		my $response = $ask->();
		my $answered = _now();
		my $ms = header($response, 'retry-after-ms');
		next if status($response) != 429 or !defined $ms;
		my $wait = $ms / 1000;
		my $seconds = header($response, 'Retry-After');

		_sleep_until($sent + 0.9 * $wait);
		$response = $ask->();
		next if _now() > $sent + 0.95 * $wait;

		$builder->is_num($seconds, ceil($wait), "$name: Retry-After is retry-after-ms");
		$builder->is_num(status($response), 429, "$name: refused 5% before retry-after-ms");
		_sleep_until($answered + $wait);
		$builder->is_num(status($ask->()), 200, "$name: let through after retry-after-ms");
		return;
	}
	$builder->skip("$name: too busy a machine to tell") for 1 .. RETRY_AFTER_TESTS;
}

sub _now {
	return clock_gettime(CLOCK_MONOTONIC);
}

sub _sleep_until {
	my ($moment) = @_;
	while ((my $left = $moment - _now()) > 0) {
		sleep $left;
	}
}

1;
