#!/usr/bin/perl

# Where metrics are all that anybody looks at, nobody's name is kept, and no minute: until a page shows them.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;
use Tollgate::Metrics;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(19);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_tier pro { requests 1000r/m; }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            tollgate on;
            tollgate_api_keys %%TESTDIR%%/keys.json;
            tollgate_audit_log %%TESTDIR%%/audit.log;
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /metrics {
            tollgate_metrics;
            allow 127.0.0.1;
            deny  all;
        }

        # pages
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "{}";
        }
    }
}

EOF

my $pages = <<'EOF';
        location = /status {
            tollgate_status;
            allow 127.0.0.1;
            deny  all;
        }

        location = /clients {
            tollgate_metrics clients=10;
            allow 127.0.0.1;
            deny  all;
        }
EOF

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file({ key => 'key-alice', client => 'alice', tier => 'pro' }));
$t->run();
poll { sum(metrics(), 'tollgate_workers') == 2 };

is(look('key-alice'), 200, 'let in') for 1 .. 3;
is(look('key-nobody'), 401, 'refused');
my $m = metrics();
is(counted($m, 'allow'), 3, 'who was let in is counted');
is(counted($m, 'deny'), 1, 'who was refused, too');
is(sum($m, 'tollgate_in_flight'), 0, 'and nothing is in flight');
is(sum($m, 'tollgate_auth_total', result => 'accepted'), 3, 'keys');
# Lines are written at the end of a turn of nginx.
ok(poll { sum(metrics(), 'tollgate_audit_lines_total', result => 'written') == 4 }, 'lines of the log');

# From here on somebody looks.
with_pages($t, $pages);
my $shown = content_json(get('/status'));
is($shown->{clients}{total}, 0, 'nobody is remembered of the time before');
is(minutes($shown), 0, 'nor is a minute');
is(counted(metrics(), 'allow'), 3, 'but what was counted is');
look('key-alice') for 1 .. 2;
$shown = content_json(get('/status'));
is($shown->{clients}{total}, 1, 'whoever comes now is');
is(minutes($shown), 2, 'as is what comes now');
is(counted(metrics(), 'allow'), 5, 'and all of it is counted');
is(sum(metrics('/clients'), 'tollgate_client_requests_total', client => 'alice'), 2, 'of a single client, too');

# And then nobody does any more, for a while.
with_pages($t, '');
look('key-alice');
with_pages($t, $pages);
look('key-alice');
$shown = content_json(get('/status'));
is($shown->{clients}{total}, 1, 'a client is remembered once more');
is(minutes($shown), 3, 'a minute has what was counted while somebody looked');
is(counted(metrics(), 'allow'), 7, 'and nothing of the sums is missing');

###############################################################################

# The status that a client with this key gets.
sub look {
	my ($key) = @_;
	return status(get('/v1/models', "X-API-Key: $key"));
}

sub counted {
	my ($metrics, $decision) = @_;
	return sum($metrics, 'tollgate_requests_total', decision => $decision);
}

# The requests of all minutes that a status shows.
sub minutes {
	my ($status) = @_;
	my $sum = 0;
	$sum += $_->{requests} for @{$status->{minutes}};
	return $sum;
}

# Gives nginx the same configuration with these pages, and waits until all workers have it.
sub with_pages {
	my ($t, $locations) = @_;
	(my $changed = $conf) =~ s/# pages/$locations/;
	$t->write_file_expand('nginx.conf', $changed);
	reload_and_wait($t);
	poll { sum(metrics(), 'tollgate_workers') == 2 };
}

###############################################################################
