#!/usr/bin/perl

# Prices by the length of the input, and of what the engine writes to its cache: what is reserved, what is
# charged, to the nano-unit, and that the log and the report of the command say the same.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;

    # 0.001 a token, and 0.01 in inputs of more than 100.
    tollgate_price steps input=1000 output=1000 above=100 input=10000 output=10000 above=1k input=10000 output=20000;
    tollgate_price writes input=1000 output=1000 cached_input=100 cache_write=2000 cache_write_1h=3000
        above=100 input=2000 output=1000 cached_input=200 cache_write=4000 cache_write_1h=6000;
    tollgate_price plain-* input=1000 output=1000 cached_input=100;

    tollgate_tier open   { default_price input=1 output=1 above=50 input=2 output=3; }
    tollgate_tier budget { budget 1/month; }

    tollgate_estimate  bytes_per_token=4 output=100;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOC

my $t = Test::Nginx->new()->has(qw/http proxy/)->write_file_expand('nginx.conf', $conf);
my @budgets = map { "budget-$_" } 1 .. 9;
$t->write_file('keys.json', keys_file({ key => 'key-open', client => 'open', tier => 'open' },
	map { { key => "key-$_", client => $_, tier => 'budget' } } @budgets));
my $has_command = -x ($ENV{TOLLGATE_CLI} // '');
start_engine($t, 8081);
$t->run()->plan(35);

my $requests = 0;
my $sum = 0;

###############################################################################

# the length of the input decides the price of all of it

costs($t, '0.101', 'up to the bound', model => 'steps', input => 100, tokens => 1);
costs($t, '1.02', 'a token more, and all of it is dearer', model => 'steps', input => 101, tokens => 1);
costs($t, '10.01', 'the last before the next bound', model => 'steps', input => 1000, tokens => 1);
costs($t, '10.03', 'behind it', model => 'steps', input => 1001, tokens => 1);
costs($t, '2.001', 'an output has no bound', model => 'steps', input => 1, tokens => 2000);
costs($t, '1.02', 'a stream', model => 'steps', input => 101, tokens => 1, stream => 1);
costs($t, '0.00005', 'a default price', model => 'other', input => 50, tokens => 0);
costs($t, '0.000105', 'a default price, behind its bound', model => 'other', input => 51, tokens => 1);

# the cache

costs($t, '0.032', 'cached input is part of the length', model => 'writes', input => 101, tokens => 1,
	lines => ['X-Mock-Cached-Tokens: 95']);
costs($t, '0.121', 'written to the cache', model => 'writes', input => 100, tokens => 1,
	lines => ['X-Mock-Cache-Write-Tokens: 20']);
costs($t, '0.067', 'written, and cached', model => 'writes', input => 100, tokens => 1,
	lines => ['X-Mock-Cached-Tokens: 60', 'X-Mock-Cache-Write-Tokens: 20']);
costs($t, '0.0713', 'no price of its own for what is written', model => 'plain-1', input => 100, tokens => 1,
	lines => ['X-Mock-Cached-Tokens: 33', 'X-Mock-Cache-Write-Tokens: 20']);

# Messages say for how long, and leave the cache out of their input. The prompt is four words.
for my $stream (0, 1) {
	my $name = $stream ? 'Messages, a stream' : 'Messages';
	my $line = messages($t, "$name: for minutes", $stream, '0.007', 'X-Mock-Cache-Write-Tokens: 2');
	is($line->{cache_write_tokens}, 2, "$name: told");
	is($line->{cache_write_1h_tokens}, undef, "$name: nothing for an hour");
	$line = messages($t, "$name: some for an hour", $stream, '0.0071',
		'X-Mock-Cached-Tokens: 1', 'X-Mock-Cache-Write-Tokens: 2', 'X-Mock-Cache-Write-1h-Tokens: 1');
	is(join(' ', @$line{qw/input_tokens cached_tokens cache_write_tokens cache_write_1h_tokens/}), '4 1 2 1',
		"$name: told, with all of the input");
}

# what is reserved

# 91 of the input and 4 are 95, at 3 each, and 100 that are guessed: 0.385.
is(left($t, 'budget-1', model => 'writes', input => 91, max => 100, tokens => 0), '0.615',
	'reserved as if all were written for an hour');
# 101, behind the bound: 6 each.
is(left($t, 'budget-2', model => 'writes', input => 97, max => 100, tokens => 0), '0.294',
	'reserved by the price of such a length');
is(left($t, 'budget-3', model => 'plain-1', input => 96, max => 100, tokens => 0), '0.8',
	'reserved without a price for what is written');
is(status(complete(client => 'budget-4', model => 'steps', input => 96, max => 899)), 200,
	'a bound that the short price leaves room for');
is(status(complete(client => 'budget-5', model => 'steps', input => 97, max => 899)), 200,
	'and one beyond it: passes while nothing is spent');
is(status(complete(client => 'budget-5', model => 'steps', input => 1, max => 1)), 200, 'it gave back what it had not used');
is(status(complete(client => 'budget-6', model => 'steps', input => 1, max => 1, tokens => 1)), 200, 'something is spent');
is(status(complete(client => 'budget-6', model => 'steps', input => 97, max => 5)), 429, 'the long price is reserved');
is(status(complete(client => 'budget-6', model => 'steps', input => 96, max => 5)), 200, 'and the short one below the bound');

###############################################################################

SKIP: {
	skip 'no command: set TOLLGATE_CLI', 4 unless $has_command;
	poll { () = $t->read_file('audit.log') =~ /\n/g } or diag('no log');
	my $log = $t->testdir() . '/audit.log';
	my $json = `"$ENV{TOLLGATE_CLI}" audit report --json "$log"`;
	is(nanos($json =~ /"cost": ([\d.]+)/), log_nanos($t), 'the report adds up what the log says');
	my $report = JSON::PP->new->decode($json)->{total};
	my @lines = audit_lines($t, 'audit.log', 1);
	for my $name (qw/cached_tokens cache_write_tokens/) {
		my $all = 0;
		$all += $_->{$name} // 0 for @lines;
		is($report->{$name}, $all, "the report: $name");
	}
	like(`"$ENV{TOLLGATE_CLI}" audit report --csv "$log"`, qr/,cached_tokens,cache_write_tokens,output_tokens,/,
		'the report: as CSV');
}

###############################################################################

# What the log says that this request cost.
sub costs {
	my ($t, $cost, $name, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $id = 'prices-' . ++$requests;
	push @{$options{lines}}, "X-Request-ID: $id";
	complete(client => 'open', %options);
	is(cost_of($t, $id), $cost, $name);
}

sub messages {
	my ($t, $name, $stream, $cost, @lines) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $id = 'prices-' . ++$requests;
	my $body = json({ model => 'writes', max_tokens => 1, messages => [{ role => 'user', content => 'a b c d' }],
		$stream ? (stream => \1) : () });
	http(join "\r\n", 'POST /v1/messages HTTP/1.0', 'Host: localhost', 'X-API-Key: key-open',
		'Content-Type: application/json', 'Content-Length: ' . length $body, "X-Request-ID: $id",
		'X-Mock-Tokens: 1', @lines, '', $body);
	is(cost_of($t, $id), $cost, $name);
	my ($line) = grep { $_->{request_id} eq $id } audit_lines($t, 'audit.log', 1);
	return $line;
}

# As it is written: a number would lose digits.
sub cost_of {
	my ($t, $id) = @_;
	my $line;
	poll { ($line) = $t->read_file('audit.log') =~ /^(.*"\Q$id\E".*)$/m };
	return ($line =~ /"cost":([^,]*)/)[0];
}

# What is left of a budget while such a request runs.
sub left {
	my ($t, $client, %options) = @_;
	my ($held) = hold(client => $client, %options);
	my $r = complete(client => $client, model => 'steps', input => 1000, max => 1000);
	$held->close();
	my $line;
	poll {
		($line) = grep { ($_->{client} // '') eq $client && $_->{status} == 429 } audit_lines($t, 'audit.log', 1);
	};
	return $line->{remaining};
}

sub nanos {
	my ($amount) = @_;
	my ($whole, $decimals) = split /\./, $amount // 0;
	return $whole * 1_000_000_000 + substr(($decimals // '') . '0' x 9, 0, 9);
}

sub log_nanos {
	my ($t) = @_;
	my $all = 0;
	my $text = $t->read_file('audit.log');
	$all += nanos($1) while $text =~ /"cost":([\d.]+)/g;
	return $all;
}

###############################################################################
