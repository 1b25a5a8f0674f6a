#!/usr/bin/perl

# Prometheus is told whether the files with keys are in force, and in how many workers: what alerts of keys go by.

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

my $t = Test::Nginx->new()->has(qw/http rewrite/)->plan(32);
my $d = $t->testdir();

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_status_file %%STATUS%%;
    tollgate_tier pro { }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys %%TESTDIR%%/keys.json;
        tollgate_endpoints +*:/*;

        location / {
            return 204;
        }

        location /more {
            tollgate_api_keys %%TESTDIR%%/more.json;
            return 204;
        }

        location /metrics {
            tollgate off;
            tollgate_metrics;
            allow 127.0.0.1;
            deny  all;
        }
    }
}

EOF

my $alice = { key => 'key-alice', client => 'alice', tier => 'pro' };
my $bob = { key => 'key-bob', client => 'bob', tier => 'pro' };
my @files = map { "$d/$_.json" } qw/keys more/;

configure($t, "$d/status");
put($_, keys_file($alice, $bob)) for @files;
$t->run();

###############################################################################

# before anything happens

my $m;
ok(poll { current($files[0]) eq 2 }, 'all workers have the keys');
for my $file (@files) {
	is(in_force($file), 1, 'the file is in force');
	is(behind($file), 0, 'no worker has old keys');
	is(failures($file), 0, 'no failure, which is told as 0');
	is(refused($file), 0, 'no entry is refused');
}
for my $method (qw/api_key jwt client_cert introspection/) {
	is(value_of('tollgate_auth_total', method => $method, result => 'invalid_credential'), 0, "$method: 0 wrong ones");
}
is(scalar series($m, 'tollgate_auth_total', result => 'accepted'), 0, 'others are told when there are some');

###############################################################################

# a file that can't be taken, for as long as it can't

put($files[0], '{"version": 1, ');
ok(poll { in_force($files[0]) eq 0 }, 'a broken file is not in force');
ok(poll { failures($files[0]) eq 1 }, 'that is a failure');
is(current($files[0]), 2, 'all workers go on with what was before');
is(in_force($files[1]), 1, 'the other file is in force');
is(status(get('/', 'X-API-Key: key-alice')), 204, 'the keys of before are good');

put($files[0], keys_file($alice));
ok(poll { in_force($files[0]) eq 1 }, 'mended');

# an entry

put($files[0], keys_file($alice, { %$bob, cidrs => ['no network'] }));
ok(poll { refused($files[0]) eq 1 }, 'an entry is refused');
is(in_force($files[0]), 1, 'the file is in force');
ok(poll { active($files[0]) eq 1 }, 'the other one is active, for every worker in the end');
put($files[0], keys_file($alice, { %$bob, tier => 'undeclared' }));
ok(poll { refused($files[0]) eq 1 && active($files[0]) eq 1 }, 'so is one whose tier is not declared, and nothing else');
put($files[0], keys_file($alice, $bob));
ok(poll { refused($files[0]) eq 0 }, 'no entry is refused any more');

###############################################################################

# a worker that stands still

ok(poll { current($files[0]) eq 2 }, 'in all workers');
my ($still) = workers($t);
kill STOP => $still;
put($files[1], keys_file($bob));
ok(poll { behind($files[1]) eq 1 }, 'a worker that stands still is behind');
is(current($files[1]), 1, 'the other one is not');
is(behind($files[0]), 0, 'nor is it with the other file');
kill CONT => $still;
ok(poll { behind($files[1]) eq 0 }, 'it goes on');
is(current($files[1]), 2, 'with what the other one has');

###############################################################################

# where nothing is told

configure($t, 'off');
reload_and_wait($t);
$m = metrics();
is(scalar series($m, 'tollgate_keys_in_force'), 0, 'without a status file nobody knows');

###############################################################################

sub configure {
	my ($t, $status) = @_;
	$t->write_file_expand('nginx.conf', $conf =~ s/%%STATUS%%/$status/r);
}

# In one step.
sub put {
	my ($path, $content) = @_;
	open(my $file, '>', "$path.new") or die "Can't write $path.new: $!\n";
	print $file $content;
	close $file or die "Can't write $path.new: $!\n";
	rename "$path.new", $path or die "Can't replace $path: $!\n";
}

# The value of the only series with these labels.
sub value_of {
	my ($name, %labels) = @_;
	$m = metrics();
	my @series = series($m, $name, %labels);
	return @series == 1 ? $series[0][1] : scalar(@series) . " series";
}

sub in_force { return value_of('tollgate_keys_in_force', file => $_[0]); }
sub failures { return value_of('tollgate_load_failures_total', file => $_[0]); }
sub active { return value_of('tollgate_keys', file => $_[0], state => 'active'); }
sub refused { return value_of('tollgate_keys', file => $_[0], state => 'refused'); }
sub current { return value_of('tollgate_keys_workers', file => $_[0], state => 'current'); }
sub behind { return value_of('tollgate_keys_workers', file => $_[0], state => 'behind'); }
