#!/usr/bin/perl

# Limits on tokens outlive a reload, and changed quotas hold at once, also while requests are under
# way; and however many locations a request goes through, it is charged once.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(44);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_tier tier { tokens 10/d burst=1000; }
    tollgate_tier block { model big { tokens 10/d burst=200; } }
    tollgate_tier open { }
    tollgate_limit rule key=$tollgate_client tokens=10/d burst=500;
    tollgate_limit other key=$tollgate_client tokens=10/d burst=400;
    tollgate_limit again key=all tokens=10/d burst=300;

    tollgate_audit_log audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;

        location /v1/ {
            proxy_pass http://127.0.0.1:8081;
        }

        location @engine {
            rewrite ^ /v1/completions break;
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /other/ {
            tollgate_apply rule other;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /rewritten/ {
            rewrite ^/rewritten(/.*) $1 last;
        }

        location /try/ {
            try_files /missing.html @engine;
        }

        location /tries/ {
            tollgate_apply rule;
            try_files /missing.html /other/v1/completions;
        }

        location /fallback/ {
            error_page 502 503 = @engine;
            proxy_pass http://127.0.0.1:8082;
        }

        location /intercepted/ {
            proxy_intercept_errors on;
            error_page 503 = @engine-2;
            proxy_pass http://127.0.0.1:8083/;
        }

        location @engine-2 {
            tollgate_apply again;
            rewrite ^ /v1/completions break;
            proxy_pass http://127.0.0.1:8081;
        }

        # The answer is X-Accel-Redirect: @engine
        location /accel/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8083;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        location / {
            return 503;
        }

        location /accel/ {
            add_header X-Accel-Redirect @engine;
            return 200;
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
my %tiers = (
	tier => [qw/one held raised lowered debt direct rewritten try fallback intercepted accel/],
	block => ['block'],
	open => [qw/open tries/],
);
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map { { key => "key-$_", client => $_, tier => $tier } } @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

###############################################################################

# 24 are reserved, and 20 used.
my %request = (input => 10, max => 10, tokens => 10);
my $rule = '/rule/v1/completions';

is(remaining(client => 'one', %request), 976, 'a client');
is(remaining(client => 'block', model => 'big', %request), 176, 'a block');
is(remaining(client => 'open', uri => $rule, %request), 476, 'a rule');
remaining(client => $_, input => 100, max => 500, tokens => 500) for qw/raised lowered/;
remaining(client => 'debt', input => 100, max => 1100, tokens => 1100);

reload_and_wait($t);
is(remaining(client => 'one', %request), 956, 'reload: what was used stays used');
is(remaining(client => 'block', model => 'big', %request), 156, 'reload: of a block');
is(remaining(client => 'open', uri => $rule, %request), 456, 'reload: of a rule');
is(status(complete(client => 'debt', %request)), 429, 'reload: a debt stays a debt');

# other quotas, while a request is under way

my ($held, $head) = hold(client => 'held', input => 10, max => 100);
is(header($head, 'x-ratelimit-remaining-tokens'), 886, 'a request under way');

change($t, 'tier { tokens 10/d burst=1000; }', 'tier { tokens 10/d burst=2000; }');
is(remaining(client => 'one', %request), 1936, 'a larger burst: 40 are used');
is(remaining(client => 'raised', %request), 1376, 'a larger burst: 600 are used');
is(remaining(client => 'debt', %request), 776, 'a larger burst: what was a debt is none any more');
is(remaining(client => 'held', %request), 1862, 'a larger burst: what is under way stays reserved');

change($t, 'tier { tokens 10/d burst=2000; }', 'tier { tokens 20/d burst=700; }');
is(remaining(client => 'one', %request), 616, 'a smaller burst and another rate: 60 are used');
is(remaining(client => 'lowered', %request), 76, 'a smaller burst: 600 are used');
is(status(complete(client => 'debt', %request)), 429, 'a smaller burst: 1220 are used');
is(remaining(client => 'held', %request), 542, 'a smaller burst: what is under way');

# It is settled by a worker that still has the first of these configurations: of 114, one token of
# output was made, and the input is taken as estimated.
$held->close();
my $after;
poll { ($after = remaining(client => 'held', max => 1, tokens => 1)) > 600 };
cmp_ok($after, '<=', 700 - 40 - 15 - 6, 'what was under way is settled once it ends');
cmp_ok($after, '>', 700 - 40 - 15 - 6 - 20 * 2, 'and no more than that');

change($t, 'rule key=$tollgate_client tokens=10/d burst=500', 'rule key=$tollgate_client tokens=10/d burst=100');
is(remaining(client => 'open', uri => $rule, %request), 36, 'a rule: a smaller burst: 40 are used');
change($t, 'model big { tokens 10/d burst=200; }', 'model big { tokens 10/d burst=1200; }');
is(remaining(client => 'block', model => 'big', %request), 1136, 'a block: a larger burst: 40 are used');

# A limit that wasn't there begins full; one that is gone is no more in the way.
change($t, 'tier { tokens 20/d burst=700; }', 'tier { tokens 10/h burst=50; }');
is(remaining(client => 'debt', %request), 26, 'another period: a bucket of its own');
change($t, 'tier { tokens 10/h burst=50; }', 'tier { output_tokens 20/d burst=50; }');
is(remaining(client => 'debt', %request), 40, 'output only: a bucket of its own');
change($t, 'tier { output_tokens 20/d burst=50; }', 'tier { tokens 20/d burst=700; }');
is(status(complete(client => 'debt', %request)), 429, 'and the one before has forgotten nothing');

# charged once

change($t, 'tier { tokens 20/d burst=700; }', 'tier { tokens 10/d burst=1000; }');
change($t, 'rule key=$tollgate_client tokens=10/d burst=100', 'rule key=$tollgate_client tokens=10/d burst=500');
for (
	['direct', '/v1/completions'],
	['rewritten', '/rewritten/v1/completions'],
	['try', '/try/v1/completions'],
	['fallback', '/fallback/v1/completions'],
) {
	my ($client, $uri) = @$_;
	my $r = complete(client => $client, uri => $uri, %request);
	is(status($r), 200, "$client: passes");
	is(header($r, 'x-ratelimit-remaining-tokens'), 976, "$client: is reserved once");
	is(remaining(client => $client, %request), 956, "$client: is charged once");
}

my $r = complete(client => 'tries', uri => '/tries/v1/completions', %request);
is(header($r, 'x-ratelimit-remaining-tokens'), 376, 'to other rules: each is reserved once');
is(remaining(client => 'tries', uri => $rule, %request), 456,
	'to other rules: that of both locations is charged once');
is(remaining(client => 'tries', uri => '/other/v1/completions', %request), 356,
	'to other rules: and the other one');

$r = complete(client => 'intercepted', uri => '/intercepted/v1/completions', %request);
is(status($r), 200, 'an error of the engine, and another engine');
is(header($r, 'x-ratelimit-remaining-tokens'), 976, 'an error: is reserved once');
is(remaining(client => 'intercepted', %request), 956, 'an error: is charged once');

$r = complete(client => 'accel', uri => '/accel/v1/completions', %request);
is(header($r, 'x-ratelimit-remaining-tokens'), 976, 'X-Accel-Redirect: is reserved once');
is(remaining(client => 'accel', %request), 956, 'X-Accel-Redirect: is charged once');

my %logged;
poll {
	%logged = ();
	$logged{$_->{client}}++ for grep { ($_->{output_tokens} // 0) == 10 } audit_lines($t, 'audit.log', 1);
	$logged{accel} == 2;
};
is_deeply([@logged{qw/rewritten fallback intercepted tries accel/}], [2, 2, 2, 3, 2],
	'the log has one line for each, with what was used');

###############################################################################

sub remaining {
	return header(complete(@_), 'x-ratelimit-remaining-tokens');
}

sub change {
	my ($t, $from, $to) = @_;
	my $at = index $conf, $from;
	die "no '$from'\n" if $at < 0;
	substr $conf, $at, length $from, $to;
	$t->write_file_expand('nginx.conf', $conf);
	reload_and_wait($t);
}

###############################################################################
