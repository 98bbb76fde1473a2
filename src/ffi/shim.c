#include "citronella_broker.h"
