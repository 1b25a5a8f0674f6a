#!/usr/bin/perl

# Limits that leave cached input out: all of it is reserved, and what the engine says that it had in its
# cache is given back.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

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

    # Hardly anything is refilled while the test runs.
    tollgate_tier free   { tokens 100/d burst=1000 cached=free; }
    tollgate_tier counts { tokens 100/d burst=1000; }
    tollgate_tier input  { input_tokens 100/d cached=free burst=1000; }
    tollgate_tier small  { tokens 100/d cached=free; }
    tollgate_tier both   { tokens 100/d burst=1000 cached=free; tokens 50/h burst=1000; output_tokens 100/d burst=900; }
    tollgate_tier block  { model m-* { tokens 100/d burst=1000 cached=free; } }
    tollgate_tier open   { }

    tollgate_limit rule key=$tollgate_client tokens=100/d burst=1000 cached=free;

    tollgate_estimate  bytes_per_token=4 output=100;
    tollgate_audit_log %%TESTDIR%%/audit.log;
    proxy_buffering    off;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /refuse/ {
            tollgate_oversized refuse;
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(31)->write_file_expand('nginx.conf', $conf);
my %tiers = (
	free => [qw/free all more stream cut declined messages failed held one two/],
	counts => ['counts'], input => ['input'], small => [qw/small refused/], both => ['both'], block => ['block'],
	open => ['open'],
);
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map { { key => "key-$_", client => $_, tier => $tier } } @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

my $requests = 0;

# What the probe itself reserves: a token, what is around, and its bound.
my %probe = (input => 1, max => 1, tokens => 1);

###############################################################################

# what is charged

my %long = (input => 500, max => 100, tokens => 10);
is(used('counts', 'X-Mock-Cached-Tokens: 450'), 510, 'a limit counts cached input, unless it says otherwise');
is(used('free'), 510, 'nothing was cached');
is(used('all', 'X-Mock-Cached-Tokens: 500'), 10, 'all of it was cached');
is(used('more', 'X-Mock-Cached-Tokens: 450'), 60, 'some of it was cached');
is(used('more', 'X-Mock-Cached-Tokens: 450'), 120, 'and again');
is(used('input', 'X-Mock-Cached-Tokens: 450'), 50, 'input_tokens');
is(used('block', 'X-Mock-Cached-Tokens: 450'), 60, 'a block of a tier');

# the ratelimit headers are those of the limit with least left
is(used('both', 'X-Mock-Cached-Tokens: 450'), 510, 'each limit by itself');

is(status(complete(client => 'open', uri => '/rule/v1/completions', %long, model => 'm-1',
	lines => ['X-Mock-Cached-Tokens: 450'])), 200, 'a rule');
is(remaining('open', '/rule'), 940 - reserved(%probe), 'a rule: what it left');

is(used('stream', 'X-Mock-Cached-Tokens: 450', stream => 1), 60, 'a stream');
is(used('messages', 'X-Mock-Cached-Tokens: 3', uri => '/v1/messages', words => 4), 11, 'Messages, whose input leaves it out');

# where nobody says what was cached, nothing is free

is(used('declined', 'X-Mock-Cached-Tokens: 450', stream => 1, body => { stream_options => { include_usage => \0 } }), 514,
	'usage that the client declined');
is(used('cut', 'X-Mock-Cached-Tokens: 450', 'X-Mock-Cut-After: 5', stream => 1), 509, 'a stream that is cut off');
is(used('failed', 'X-Mock-Status: 500'), 0, 'an error');

# what is reserved

my ($held, $head) = hold(client => 'held', %long, lines => ['X-Mock-Cached-Tokens: 500']);
is(header($head, 'x-ratelimit-remaining-tokens'), 1000 - 604, 'all of the input is reserved');
is(status(complete(client => 'held', %long)), 429, 'so no more run at once than if nothing were cached');
is(status(complete(client => 'held', %long, input => 200)), 200, 'but what fits');
$held->close();
my $r = complete(client => 'one', %long, lines => ['X-Mock-Cached-Tokens: 500']);
is(header($r, 'x-ratelimit-remaining-tokens'), 396, 'the header was sent before that was known');
is(header($r, 'x-ratelimit-limit-tokens'), 1000, 'and the limit is as it is');
$r = complete(client => 'one', %long, lines => ['X-Mock-Cached-Tokens: 500']);
is(header($r, 'x-ratelimit-remaining-tokens'), 386, 'the next one says what came back');

# An input longer than the bucket.
is(status(complete(client => 'small', input => 300, max => 1, tokens => 1, lines => ['X-Mock-Cached-Tokens: 300'])), 200,
	'an input that is longer than the bucket');
is(remaining('small'), 99 - reserved(%probe), 'makes no debt if it was cached');
$r = complete(client => 'refused', uri => '/refuse/v1/completions', input => 300, max => 1, tokens => 1,
	lines => ['X-Mock-Cached-Tokens: 300']);
is(status($r), 429, 'with "tollgate_oversized refuse" it is refused all the same');
is(status(complete(client => 'refused', uri => '/refuse/v1/completions', input => 90, max => 1, tokens => 1)), 200,
	'and a shorter one passes');

# the log

my $line;
poll { ($line) = grep { $_->{client} eq 'all' } audit_lines($t, 'audit.log', 1) };
is($line->{limit}, 'tokens 100/d burst=1000 cached=free', 'the log: the limit as it is written');
is(join(' ', @$line{qw/input_tokens cached_tokens output_tokens/}), '500 500 10', 'the log: all of the tokens');

# a reload changes it, and what was used stays used

is(used('two', 'X-Mock-Cached-Tokens: 450'), 60, 'before the reload');
$conf =~ s/tokens 100\/d burst=1000 cached=free/tokens 100\/d burst=1000/ or die;
$t->write_file_expand('nginx.conf', $conf);
reload_and_wait($t);
is(limit_of($t, 'two'), 'tokens 100/d burst=1000', 'the new configuration is in force');
my $before = remaining('two');
complete(client => 'two', %long, lines => ['X-Mock-Cached-Tokens: 450'], input => 300);
cmp_ok($before - remaining('two'), '>=', 310, 'after the reload all of it counts');
cmp_ok($before, '<=', 940, 'and what was used before stays used');

###############################################################################

# How many tokens of 1000 are gone after this request.
sub used {
	my ($client, @lines) = @_;
	my %options;
	while (@lines && $lines[-2] && $lines[-2] !~ /:/) {
		my ($name, $value) = splice @lines, -2;
		$options{$name} = $value;
	}
	my $words = delete $options{words};
	if (defined $words) {
		$options{body} = { prompt => undef, messages => [{ role => 'user', content => join ' ', ('a') x $words }] };
	}
	complete(client => $client, %long, model => 'm-1', %options, lines => \@lines);
	# Where the output isn't counted, its bound is not reserved, either.
	my $reserved = reserved(%probe) - ($client eq 'input' ? $probe{max} : 0);
	return 1000 - $reserved - remaining($client);
}

# What is left, in the header of a small request that has no part in it: its reservation is that much.
sub remaining {
	my ($client, $at) = @_;
	# The engine refuses it, and so it costs nothing.
	my $r = complete(client => $client, uri => ($at // '') . '/v1/completions', %probe, model => 'm-1',
		lines => ['X-Mock-Status: 500']);
	return header($r, 'x-ratelimit-remaining-tokens');
}

sub limit_of {
	my ($t, $client) = @_;
	my $count = () = $t->read_file('audit.log') =~ /\n/g;
	remaining($client);
	my @lines = audit_lines($t, 'audit.log', $count + 1);
	return $lines[-1]{limit} // '';
}

###############################################################################
