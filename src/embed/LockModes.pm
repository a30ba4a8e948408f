# The modes of table locks, weakest first.

package LockModes;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(@LOCK_MODES);

our @LOCK_MODES = (
	'ACCESS SHARE',
	'ROW SHARE',
	'ROW EXCLUSIVE',
	'SHARE UPDATE EXCLUSIVE',
	'SHARE',
	'SHARE ROW EXCLUSIVE',
	'EXCLUSIVE',
	'ACCESS EXCLUSIVE');

1;
