#!/usr/bin/perl

# From how many networks a key is used: all workers count together, and what they counted outlives them.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ keys_file status /;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant WORKERS => 3;

# nginx logs an alert for a worker that was killed.
my $t = Test::Nginx->new()->has(qw/http proxy realip/)->todo_alerts()->plan(13)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 3;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier       kept { addresses 6/h refuse; }
    tollgate_tier       watched { addresses 6/h; }

    set_real_ip_from  127.0.0.1;
    real_ip_header    X-Real-IP;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log audit.log;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /pid {
            tollgate off;
            return 200 $pid;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 ENGINE;
    }
}

EOF

$t->write_file('keys.json', keys_file(map { { key => "key-$_", id => "k_$_", client => $_, tier => $_ } } qw/kept watched/));
$t->run();

###############################################################################

my $connections = connections_to_workers(WORKERS, 1);
my @workers = map { $connections->{$_}[0] } sort keys %$connections;

# Each worker sees two networks first, and the others hear of them.

my @first = map { my $worker = $_; map { from($worker, 'kept', 2 * $worker + $_) } 0, 1 } 0 .. 2;
is("@first", '200 200 200 200 200 200', 'six networks');
is(join(' ', map { from($_, 'kept', 6) } 0 .. 2), '403 403 403', 'a seventh one, everywhere');
my @all = map { my $worker = $_; map { from($worker, 'kept', $_) } 0 .. 5 } 0 .. 2;
is("@all", join(' ', (200) x 18), 'the six are served everywhere');

# What a worker remembers of a moment ago is no longer true when others have seen more.

is(join(' ', map { from($_ % 3, 'watched', $_ % 6) } 0 .. 17), join(' ', (200) x 18), 'watched: six networks');
is(join(' ', map { from($_, 'watched', 6) } 1), '200', 'watched: another worker sees a seventh one');
is(join(' ', map { from($_, 'watched', $_) } 0 .. 2), '200 200 200', 'watched: each of them again');
my @lines = grep { $_->{client} eq 'watched' } audit_lines($t, 'audit.log', 49);
# A line is written after its answer, so those of several workers come in any order.
is(join(' ', sort map { $_->{networks} // '-' } @lines), join(' ', ('-') x 18, 7, 7, 7, 7), 'watched: the log');
is(notices($t, 'watched'), 1, 'watched: told once, by one of them');

# Workers are killed.

my %killed = map { $_ => 1 } workers($t);
kill 'KILL', keys %killed;
ok(poll {
	my @now = workers($t);
	@now == WORKERS && !grep { $killed{$_} } @now;
}, 'new workers');
$connections = connections_to_workers(WORKERS, 1);
@workers = map { $connections->{$_}[0] } sort keys %$connections;
is(join(' ', map { from($_ % 3, 'kept', $_) } 0 .. 5), join(' ', (200) x 6), 'killed: the six are served');
is(join(' ', map { from($_, 'kept', 7) } 0 .. 2), '403 403 403', 'killed: an eighth one is not');
from($_, 'watched', 8) for 0 .. 2;
is(notices($t, 'watched') . notices($t, 'kept'), '11', 'killed: told once in all');

$t->stop();
is((grep { $_->{client} eq 'watched' && ($_->{networks} // 0) == 8 } audit_lines($t, 'audit.log')), 3, 'killed: the log goes on');

###############################################################################

sub from {
	my ($worker, $key, $network) = @_;
	return status($workers[$worker]->ask(request('/', "X-API-Key: key-$key", "X-Real-IP: 10.0.$network.1"))) // 0;
}

sub notices {
	my ($test, $key) = @_;
	return scalar(() = $test->read_file('error.log') =~ /the key "k_$key" of client/g);
}

###############################################################################
